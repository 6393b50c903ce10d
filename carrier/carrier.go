// Package carrier is the contract of carriers, such as WebSockets. A carrier moves bytes
// between a client and a server that the client can reach.
//
// A [Carrier] has two halves. On the client, Dial connects and offers the protocols that
// may run on the connection. On the server, a client arrives as an HTTP request: Offer
// reads what it asks for, and Upgrade answers and takes the connection over. The package
// holds no implementation: see [github.com/backdial/backdial/carrier/ws],
// [github.com/backdial/backdial/carrier/webtransport], and
// [github.com/backdial/backdial/carrier/mem], which is the shortest.
// [github.com/backdial/backdial/carrier/carriertest] tests this contract: run it on a
// carrier of your own.
//
// Other interfaces are optional. A carrier that does not use an HTTP server's TCP port is
// a [Listener]. One with peers that do not negotiate is a [Legacy], and one whose
// connections have streams is a [StreamCarrier]. An [Endpoint] may be [Advertised] and a
// [HandshakeLimiter]. A [Conn] with streams is a [StreamConn], one that can end one
// direction a [CloseWriter], and one that carries messages a [MessageConn]. One that can
// be written or read without waiting is a [PromptWriter] or [PromptReader].
//
// Multiplexers find the interfaces of a Conn with type assertions, and both ends must
// agree on whether there are messages or streams. So a wrapper of a Conn implements
// the same interfaces as the Conn, and no others.
package carrier

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// ErrScheme is matched by the error of Dial for a URL whose scheme the carrier does not
// support. Another carrier may.
var ErrScheme = errors.New("unsupported URL scheme")

// A Carrier makes connections between clients and servers. One value serves
// any number of them at the same time.
type Carrier interface {
	// Name is the short name for people, such as "ws".
	Name() string

	// Dial connects to the server in r.URL, and returns when both ends have agreed upon a
	// protocol, or upon none. If the server refuses the client, the error is a
	// [*RejectedError]. A Dial that fails leaves no socket and no goroutine behind.
	//
	// ctx bounds the call, not the connection. Dial returns when ctx ends, whatever the
	// server does. If ctx has no deadline, a Dial on a network gives up after 30 s at the
	// latest if the server has not finished the handshake. It also gives up, before it has
	// read 16 MiB, if the server's answer does not end.
	//
	// With TLS, Dial verifies the server's certificate as package crypto/tls does, and
	// sends nothing of r before that.
	Dial(ctx context.Context, r *Request) (Conn, error)

	// Offer reports whether r asks for a connection of this carrier, and returns the
	// protocols that the client offers, in its order of preference.
	Offer(r *http.Request) (protocols []string, ok bool)

	// Upgrade answers a request for which Offer returned true, tells the client that protocol
	// was chosen, and returns the connection. protocol is one of the client's offers, or ""
	// for none. The answer has the fields of w.Header(). If Upgrade fails, it has answered
	// with a status that says why.
	//
	// The client's Dial succeeds even if the server calls Close right after
	// Upgrade: the answer must not be lost with the connection.
	//
	// The connection outlives the handler. A stream of HTTP/2 does not: the server of
	// package net/http ends it with its handler. So a carrier on HTTP/2 must be a
	// [Listener] with its own server, which keeps the stream, and its Upgrade must fail
	// for requests of other servers.
	Upgrade(w http.ResponseWriter, r *http.Request, protocol string) (Conn, error)
}

// A Request is what a client asks of a server.
type Request struct {
	// URL of the server's endpoint. Dial must not change it.
	URL *url.URL

	// Header is sent with the request. Dial must not change it.
	Header http.Header

	// Protocols that may run on the connection, in order of preference.
	Protocols []string

	// Answered is called before Dial returns a connection, with the header of the server's
	// answer, if the carrier has one. nil means that nobody wants to know.
	Answered func(http.Header)

	// TLS settings. nil means the defaults. Dial must not change it: it uses a copy, in
	// which it sets NextProtos. All other fields apply, such as ServerName,
	// VerifyConnection and the client's certificates.
	TLS *tls.Config
}

// A Conn is a connection to a peer. It carries bytes in both directions. It delivers them
// in order, or fails.
//
// At most one goroutine reads and one writes at a time. Any goroutine may call Close at
// any time. Nobody sets deadlines, so a Conn need not support them. Write keeps nothing
// of its argument. A Read or Write of no bytes returns at once and changes nothing.
//
// Close returns at once, without waiting for the peer, and ends a blocked Read or Write.
// Later calls fail with an error that matches [net.ErrClosed].
//
// Read returns [io.EOF] only if the peer ended the connection on purpose. The peer's
// Close alone need not cause that. The end of a TCP connection proves nothing: the kernel
// sends the same for a program that has crashed, and so does a proxy that restarts. A
// carrier on TCP must say in its own bytes that nothing follows.
type Conn interface {
	net.Conn

	// Protocol returns the protocol that both ends agreed upon, or "" for none.
	Protocol() string
}

// A CloseWriter is a [Conn] that can tell its peer that nothing more follows: the peer's
// Read returns [io.EOF] after the rest. This end must read on until the peer is done as
// well: if there is unread input, Close may throw away what is still on its way to the
// peer.
//
// Without unread input, what was written before CloseWrite arrives even if Close follows,
// and returns, at once. On TCP the kernel sees to that. Other carriers may start a
// goroutine in Close that outlives it. That goroutine ends when the peer has everything
// or is gone, and at the latest 10 s after Close.
type CloseWriter interface {
	// CloseWrite is called after the last Write. It does not wait for the peer, unless the
	// peer takes so little that there is no room for the message.
	CloseWrite() error
}

// A MessageConn is a [Conn] that carries messages. The bytes of a Write, or of each
// message given to WriteMessages, arrive as one message, neither cut nor joined with
// others. A message without bytes need not arrive.
type MessageConn interface {
	Conn

	// NextMessage waits for a message, and returns its size, which may be 0. It need not
	// wait for the whole message. Read then reads the message, and returns [io.EOF] after
	// it, or another error if the connection ends first. The next call of NextMessage
	// drops what has not been read. A message of more than limit bytes gives an error that
	// matches [ErrMessageSize], and is the last: the caller may still write the reason,
	// and then end the connection. The error is [io.EOF] if the peer ended the connection
	// on purpose.
	//
	// Read and NextMessage are called from one goroutine at a time. Without NextMessage,
	// Read works as on any other Conn.
	NextMessage(limit int) (size int, err error)

	// WriteMessages writes messages, with one system call if it can. It follows the rules
	// of Write, and keeps nothing.
	WriteMessages(messages ...[]byte) error

	// WriteLast is WriteMessages and then CloseWrite of [CloseWriter], with one system call
	// if it can.
	WriteLast(messages ...[]byte) error
}

// A PromptWriter is a [Conn] that can write without waiting.
type PromptWriter interface {
	Conn

	// WriteNow writes each message as Write does, but only as much as there is room for at
	// once. It keeps a copy of the rest, and reports whether there is any. The rest is
	// sent before the next write; if there is none, Flush must follow.
	WriteNow(messages ...[]byte) (kept bool, err error)

	// Flush writes what WriteNow has kept, and waits for room as Write does. Both follow
	// the rules of Write.
	Flush() error
}

// A PromptReader is a [Conn] that can read without waiting.
type PromptReader interface {
	Conn

	// ReadNow is Read of what has arrived. It returns 0 if nothing has, or if Read would
	// fail: Read tells which. It follows the rules of Read.
	ReadNow(p []byte) (n int)

	// Arrive reports whether the next message has arrived whole, so that reading it does
	// not wait. If nothing has arrived and wait is true, Arrive waits for something first.
	// It returns false in the middle of a message, for a message that is larger than what
	// it buffers, and if Read would fail: Read and NextMessage tell. It takes nothing, and
	// follows the rules of Read.
	Arrive(wait bool) (whole bool)

	// Interrupt makes the Arrive that waits, or else the next one that would wait, return
	// false. It ends no other call. Any goroutine may call it at any time.
	Interrupt()
}

// ErrMessageSize is matched by the error of NextMessage for a message that is too large.
var ErrMessageSize = errors.New("message is too large")

// A Listener is a [Carrier] that listens by itself, for instance on a UDP port, instead
// of upgrading a request to an HTTP server's TCP port.
type Listener interface {
	// Listen announces addr and returns an endpoint whose Serve calls h for every request.
	// config holds the server's certificate, and may require one of clients. A carrier
	// without TLS may ignore it.
	//
	// The endpoint treats h as the server of package net/http does. It runs h in a new
	// goroutine for each request. The request's Host comes from the dialled URL. Its
	// RemoteAddr and TLS describe the connection; TLS has the client's certificates, and is
	// nil without TLS. If h panics, its client gets no
	// connection, and the program goes on.
	//
	// The endpoint also bounds handshakes, as the HTTP server does for other carriers. It
	// ends one that the client has not finished after 30 s at the latest, or before 16
	// MiB. Meanwhile it accepts other clients.
	Listen(addr string, config *tls.Config, h http.Handler) (Endpoint, error)
}

// An Endpoint is where a [Listener] listens.
type Endpoint interface {
	// Serve calls the handler for requests until Close. It then returns an error that
	// matches [net.ErrClosed].
	Serve() error

	// Addr returns the address on which the endpoint listens.
	Addr() net.Addr

	// Close stops listening. It ends the handshakes under way and the unanswered requests.
	// Established connections go on. The address is free soon after Close or, if
	// connections share the endpoint's socket, as on UDP, soon after the last of them has
	// ended.
	Close() error
}

// An Advertised is an [Endpoint] that the HTTP server at the same host announces to its
// clients.
type Advertised interface {
	// AltSvc returns the value of the Alt-Svc header (RFC 7838).
	AltSvc() string
}

// A HandshakeLimiter is an [Endpoint] that sees clients before they ask for a connection,
// and can limit them.
type HandshakeLimiter interface {
	// LimitHandshakes makes the endpoint end a client that does not ask for a connection
	// within timeout. If more than most clients have not asked yet, the endpoint ends
	// the clients that have waited longest. Both limits are positive. It is called before Serve.
	LimitHandshakes(most int, timeout time.Duration)
}

// Legacy is a [Carrier] with some peers that do not negotiate.
type Legacy interface {
	// LegacyProtocol returns the protocol of a connection without a negotiation.
	LegacyProtocol() string
}

// A StreamCarrier is a [Carrier] whose connections are all [StreamConn]s.
type StreamCarrier interface {
	Carrier

	// HasStreams does nothing. Its presence says what the carrier can do, before there is
	// a connection.
	HasStreams()
}

// A StreamConn is a [Conn] that has streams, beside the bytes that it carries itself. The
// streams end with it: after Close every method of a stream fails with an error that
// matches [net.ErrClosed]; after any other end they fail with one that matches neither
// that nor [io.EOF].
//
// The Conn's own bytes travel on a stream too. The client's first Read or Write opens it,
// before all others. A client that calls neither pays nothing for it; the server's Read
// and Write wait for it.
type StreamConn interface {
	Conn

	// OpenStream opens a stream and announces it: the peer's AcceptStream returns even if
	// nothing is written. It waits while the peer allows no more streams. ctx bounds the
	// call, not the stream.
	OpenStream(ctx context.Context) (Stream, error)

	// AcceptStream waits for a stream that the peer opens.
	AcceptStream(ctx context.Context) (Stream, error)

	// Windows returns the windows of this end.
	Windows() Windows
}

// Windows says how many unread bytes an end takes from its peer, at most.
type Windows struct {
	// Stream is for a new stream. The window may double each time that more than half of
	// it has been read, up to MaxStream.
	Stream, MaxStream int

	// All is for all streams together. With more than that unread, all streams may wait,
	// even those that are read. It must be larger than Stream times the number of streams
	// that may stop being read at a time: with a Stream of 512 KiB, 32 of them use up 16
	// MiB. The native multiplexer stays below All and below its own ReceiveBuffer, which
	// is 64 MiB by default, so it can use all of that buffer only if All is larger.
	All int
}

// A Stream of a [StreamConn] carries bytes in both directions. At most one goroutine
// reads and one writes at a time. Any goroutine may call the other methods at any time,
// except that CloseWrite is not called during a Write.
type Stream interface {
	// Read returns [io.EOF] only after the peer's CloseWrite. Its error matches
	// [*CanceledError] after the peer's CancelWrite, and [os.ErrDeadlineExceeded] at the
	// deadline. A Read into no bytes does not wait. It reports a CancelWrite that has
	// arrived, even if earlier bytes have not been read.
	io.Reader

	// Write fails with an error that matches [*CanceledError] after the peer's CancelRead,
	// and [os.ErrDeadlineExceeded] at the deadline.
	io.Writer

	// ID is the same on both ends, and unique in the connection.
	ID() uint64

	// SetReadDeadline ends a blocked Read and later ones at t. The zero value means no
	// deadline.
	SetReadDeadline(t time.Time) error

	// SetWriteDeadline is SetReadDeadline for Write.
	SetWriteDeadline(t time.Time) error

	// CloseWrite tells the peer that nothing more follows. It does not wait.
	CloseWrite() error

	// CancelRead discards what has arrived and what will. The peer's Write and this end's
	// Read fail. It does not wait.
	CancelRead(code uint32)

	// CancelWrite gives up what has not reached the peer yet. The peer's Read fails. It
	// does not wait.
	CancelWrite(code uint32)
}

// A CanceledError is the error of a [Stream] that the peer has cancelled.
type CanceledError struct {
	// Code is the peer's reason.
	Code uint32
}

func (e *CanceledError) Error() string {
	return fmt.Sprintf("stream canceled by the peer with code %d", e.Code)
}

// AllowOrigin returns r with the note that a page of its Origin may connect. Its caller
// has checked that, and the carrier then does not.
func AllowOrigin(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), originAllowed{}, true))
}

// ErrOrigin is matched by the error of Upgrade for a page that may not connect.
var ErrOrigin = errors.New("origin not allowed")

// OriginAllowed reports whether r has the note of [AllowOrigin]. Carriers that pages can
// use refuse all other requests in Upgrade, with status 403 and [ErrOrigin], unless the
// Origin has the host that the request is for.
func OriginAllowed(r *http.Request) bool { return r.Context().Value(originAllowed{}) != nil }

type originAllowed struct{}
