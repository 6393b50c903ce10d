// Package webtransport carries bytes over WebTransport over HTTP/3,
// draft-ietf-webtrans-http3, which runs on QUIC, RFC 9000, and so on UDP. A connection
// has its own streams ([carrier.StreamConn]). A stream that waits for a lost packet does
// not block the others, as happens on a multiplexer over a single TCP connection.
//
// Not every network lets UDP pass. A client should have a second carrier to fall back to.
//
// On Linux 5.0 and newer, an end takes datagrams that arrive together from the kernel with
// one system call (UDP_GRO), if its socket is a [*net.UDPConn].
//
// # The wire
//
// A connection is a WebTransport session on its own QUIC connection. The protocols that a
// client offers are WebTransport's application protocols (WT-Available-Protocols). The
// connection's own bytes travel on the client's first bidirectional stream, whose ID
// follows that of its CONNECT request; every other bidirectional stream is a
// [carrier.Stream]. A stream begins with its WebTransport header, which is sent at once.
// Unidirectional streams are refused, and datagrams are dropped.
//
// Close closes the session with code 0. An end that has called CloseWrite keeps the
// session for up to 5 s, until its peer is done as well, because the end of a session
// resets its streams and loses what is on its way. If a peer closes with another code,
// errors contain its code and message, in a *SessionError of
// [github.com/quic-go/webtransport-go].
//
// QUIC is not in the kernel, so what was written stays in this process's memory until the
// peer has acknowledged it. A process that exits earlier loses it. To wait, call
// CloseWrite of the connection, and then Read until it returns [io.EOF], when the peer
// has ended its direction as well. The sessions of package mux do so when they are
// closed, and so does Close of a Listener, Dialer or Server of package transport.
//
// # Limits
//
// A peer can make an end hold at most the connection's window of unread bytes
// ([WithWindows], 96 MiB), and a limited number of streams ([WithMaxStreams], 65,536 on a
// client and 64 on a server).
//
// An idle connection costs each end 80 to 110 KiB of memory and some 12 goroutines, those
// of QUIC and HTTP/3.
//
// On a server, the header of a request has at most 16 KiB, unless the [http3.Server] says
// otherwise. The server ends a QUIC connection that carries no session and has no request
// being answered after 10 s, or after the IdleTimeout of an http3.Server if it had one
// before. There are at most 1,024 such connections: for another, the one that has waited
// longest is ended. From 64 on, the server verifies that the source address of a new one
// is not forged (RFC 9000, section 8.1.2), which costs the client a round trip. A client
// that falls silent in the middle of the QUIC handshake keeps its place for 5 s, or for 2
// s if such clients held half of the places when it came. While they hold all of them,
// newcomers are refused. The server of package transport sets its own limits
// ([carrier.HandshakeLimiter]).
//
// A client gets one session after the other: while one request for a session is being
// decided, the server answers another on the same QUIC connection with status 503. A
// request reaches the handler when the client's SETTINGS have arrived, or after 2 s
// without them.
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

// Carrier makes WebTransport connections. Use [New] to make one. Multiple goroutines may
// call its methods at the same time.
type Carrier struct {
	checkOrigin      func(*http.Request) bool
	listenPacket     func(ctx context.Context, network, address string) (net.PacketConn, error)
	handshakeTimeout time.Duration // 0: the default; negative: none
	keepAlive        time.Duration // 0: none
	idleTimeout      time.Duration
	streamWindow     int
	maxStreamWindow  int
	connWindow       int
	clientStreams    int // that a server may open
	serverStreams    int // that a client may open
}

// New returns a Carrier with the defaults of the options, changed by opts.
func New(opts ...Option) *Carrier {
	c := &Carrier{
		checkOrigin:     origin.Same,
		listenPacket:    new(net.ListenConfig).ListenPacket,
		keepAlive:       defaultKeepAlive,
		idleTimeout:     defaultIdleTimeout,
		streamWindow:    512 << 10,
		maxStreamWindow: 6 << 20,
		connWindow:      96 << 20,
		clientStreams:   defaultClientStreams,
		serverStreams:   defaultServerStreams,
	}
	for _, opt := range opts {
		opt(c)
	}
	return c
}

// Name is "webtransport".
func (*Carrier) Name() string { return "webtransport" }

// HasStreams makes the carrier a [carrier.StreamCarrier].
func (*Carrier) HasStreams() {}
