// Package faulttest puts a cluster of three replicas through the faults for which package
// cluster promises something, with real parts. It contains only tests.
//
// A site is one cluster. Its replicas have embedded NATS servers, connected by routes with
// mutual TLS, or one NATS server apart. A replica runs in the test's process, where that is
// enough, or as a child that the test can kill, stop and drain: the test's binary again, which
// reads its role on standard input, and which others dial through a gate. It exits when that
// input ends, so that none is left behind.
//
// Devices are clients with real WebSockets, which connect again after 50 ms at most. Each path
// is a faultnet network of its own, which can be held, cut and healed: from a device to a
// replica, from replicas to a replica, from a replica to its engine, and from one engine to
// another.
//
// Every connection proves where it leads: a device says who it is and through which replica it
// was dialled, so a wrong one does not pass. Tests wait for conditions by asking who is
// reachable.
package faulttest
