// Package peers measures, beside package bench, other libraries with which a server dials
// its clients, or could. It is a module of its own, so that this library does not require
// what they require:
//
//	go test -run '^$' -bench . .
//
// Each is configured as its users configure it. libp2p's is yamux on a bare TCP
// connection. SSH encrypts, and so does revdial, which makes a TLS connection for each
// stream: compare those with wss, or with the baseline tls. With remotedialer
// and chisel a stream is also a TCP connection from the client to a service beside it, and with
// chisel and Piko one from the dialling program to the server beside it. remotedialer is
// v0.6.1, because later releases need a later Go than this library does.
package peers
