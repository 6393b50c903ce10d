// Package cluster measures package cluster beside a single server, with real parts:
// embedded NATS servers connected by routes, mutual TLS between replicas, clients with
// WebSockets and the default multiplexer, and child processes where replicas are killed.
// It is a module of its own, so that this library does not require what a NATS server
// requires:
//
//	go test -run '^$' -bench . .
//
// It compares with "local": dials and streams of a replica's own client, which is a
// single server. Traffic between replicas is encrypted once more, so with TLS it compares
// with "local over TLS".
package cluster
