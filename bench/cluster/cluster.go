// Package cluster measures package cluster beside a single server, with real parts:
// embedded NATS servers that are connected by routes, mutual TLS between replicas,
// clients with WebSockets and the default multiplexer, and where replicas are killed,
// child processes. It is a module of its own, so that this library does not require what
// a NATS server requires:
//
//	go test -run '^$' -bench . .
//
// What it compares with are dials and streams of a replica's own client, which is one
// server alone: "local". With TLS, because what leads across replicas is encrypted once
// more, that is "local over TLS".
package cluster
