// Package faulttest puts a cluster of three replicas through the faults that package
// cluster promises something for, with real parts. It is all tests.
//
// A site is one cluster: its replicas have embedded NATS servers, which are connected by
// routes with mutual TLS, or one NATS server apart. A replica runs in the test's process,
// where that is enough, or as a child, which can be killed, stopped and told to drain:
// the test's binary again, told on its standard input what it is, and dialled through a
// gate. It ends when that input does, so that none is left behind.
//
// Devices are clients with real WebSockets, which connect again after 50 ms at most. Each
// path is a faultnet network of its own, which is held, cut and healed: from a device to a
// replica, from replicas to a replica, from a replica to its engine, and from one engine
// to another.
//
// What is reached is always proven: a device says who it is and through which replica it
// was dialled, so that a wrong one does not pass. Conditions are awaited, by asking who is
// reachable.
package faulttest
