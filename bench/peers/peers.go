// Package peers measures other libraries with which a server dials its clients,
// or with which one would build that, beside package bench. It is a module of its
// own, so that this library does not require what they require:
//
//	go test -run '^$' -bench . .
//
// Each is configured as its users have it. That of libp2p is a yamux on a bare TCP
// connection. SSH encrypts, and so does revdial, which makes a TLS connection for
// each stream: compare those with wss, or with the baseline tls. The
// remotedialer is v0.4.1, as later releases need a later Go than this library does.
package peers
