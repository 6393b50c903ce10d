// Package webtransport carries bytes over WebTransport over HTTP/3,
// draft-ietf-webtrans-http3, which runs on QUIC, RFC 9000, and so on UDP. A
// connection has streams of its own ([carrier.StreamConn]): one that waits for
// a lost packet does not hold up the others, which those of a multiplexer on a
// single TCP connection do.
//
// Not every network lets UDP pass. A client should have another carrier to
// turn to.
//
// # The wire
//
// A connection is a WebTransport session on a QUIC connection of its own. The
// protocols that a client offers are WebTransport's application protocols
// (WT-Available-Protocols). The connection's own bytes travel on the client's
// first bidirectional stream, the one whose ID follows that of its CONNECT
// request; every other bidirectional stream is a [carrier.Stream]. A stream
// begins with its WebTransport header, which is sent at once. Unidirectional
// streams are refused, and datagrams are dropped.
//
// Close closes the session with code 0. An end that has called CloseWrite
// keeps the session for up to 5 s, until its peer is done as well, because the
// end of a session resets its streams and loses what is on its way. What fails
// because a peer closed otherwise has the code and the message in a
// *SessionError of [github.com/quic-go/webtransport-go].
//
// What was written is in the memory of this process until the peer has acknowledged it,
// because QUIC is not in the kernel. A process that ends before loses it. It can wait by
// CloseWrite of the connection, and then a Read that returns [io.EOF] when the peer has
// ended its direction as well. The sessions of package mux do so when they are closed, and
// with them Close of a Listener, Dialer or Server of package transport.
//
// # Limits
//
// A peer can make an end hold no more than the connection's window of bytes
// that nobody has read ([WithWindows], 96 MiB), and no more than so many
// streams ([WithMaxStreams], 65,536 on a client and 64 on a server).
//
// A connection on which nothing happens costs each end 80 to 110 KiB of memory and some 12
// goroutines, which are those of QUIC and HTTP/3.
//
// On a server, the header of a request has at most 16 KiB, unless the [http3.Server]
// says otherwise. A QUIC connection that carries no session, and has no request that is
// being answered, is ended after 10 s, or after the IdleTimeout of an http3.Server once
// it has had one. There are at most 1,024 of these: for another, the one that has waited
// longest is ended. With 64 of them, another is admitted only if its source address is
// not forged (RFC 9000, section 8.1.2), which costs it a round trip. A client that falls
// silent in the middle of the QUIC handshake keeps its place for 5 s, or 2 s if half of the
// places were taken by such clients when it came. While all of them are, newcomers are
// refused. The server of package transport sets its own limits ([carrier.HandshakeLimiter]).
//
// A client gets one session after the other: while a request for one is being decided,
// another on the same QUIC connection is answered with status 503. A request gets to the
// handler when the client's SETTINGS are there, or after 2 s without them.
package webtransport

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/origin"
)

var (
	_ carrier.StreamCarrier = (*Carrier)(nil)
	_ carrier.Listener      = (*Carrier)(nil)
)

// Carrier makes WebTransport connections. Use [New] to make one. Its methods
// may be called by several goroutines at a time.
type Carrier struct {
	checkOrigin      func(*http.Request) bool
	listenPacket     func(ctx context.Context, network, address string) (net.PacketConn, error)
	handshakeTimeout time.Duration // 0: the default, negative: none
	keepAlive        time.Duration // 0: none
	idleTimeout      time.Duration
	streamWindow     int
	maxStreamWindow  int
	connWindow       int
	clientStreams    int // that a server may open
	serverStreams    int // that a client may open
}

// New returns a Carrier with the defaults that the options describe, changed
// by opts.
func New(opts ...Option) *Carrier {
	c := &Carrier{
		checkOrigin:     origin.Same,
		listenPacket:    new(net.ListenConfig).ListenPacket,
		keepAlive:       defaultKeepAlive,
		idleTimeout:     defaultIdleTimeout,
		streamWindow:    512 << 10,
		maxStreamWindow: 2 << 20,
		connWindow:      96 << 20,
		clientStreams:   1 << 16,
		serverStreams:   64,
	}
	for _, opt := range opts {
		opt(c)
	}
	return c
}

// Name is "webtransport".
func (*Carrier) Name() string { return "webtransport" }

// HasStreams marks the carrier as a [carrier.StreamCarrier].
func (*Carrier) HasStreams() {}
