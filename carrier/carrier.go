// Package carrier is the contract of carriers: what moves bytes between a
// client and a server that it can reach, such as a WebSocket.
//
// A [Carrier] has two halves. On the client, Dial connects and offers the
// protocols that may run on the connection. On the server, a carrier is met as
// an HTTP request: Offer reads what the client asks for, and Upgrade answers
// and takes the connection over. The package holds no implementation: see
// [github.com/backdial/backdial/carrier/ws],
// [github.com/backdial/backdial/carrier/webtransport], and
// [github.com/backdial/backdial/carrier/mem], which is the shortest.
// [github.com/backdial/backdial/carrier/carriertest] is this contract,
// executed: run it on a carrier of your own.
//
// Other interfaces are optional. A carrier may be a [Listener], if it does not use an HTTP
// server's TCP port, a [Legacy], if some of its peers do not negotiate, and a
// [StreamCarrier], if its connections have streams. An [Endpoint] may be [Advertised], and
// a [HandshakeLimiter]. A [Conn] may be a [StreamConn], a [CloseWriter], if it can end one
// direction, a [MessageConn], if it carries messages, and a [PromptWriter] or
// [PromptReader], if it can be written or read without waiting.
//
// Multiplexers look for those of a Conn with type assertions, and both ends have to agree on
// whether there are messages or streams. So a wrapper of a Conn implements those that the
// Conn implements, and no others.
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

// ErrScheme is matched by the error of Dial for a URL whose scheme is not one
// of the carrier's. Another carrier may know it.
var ErrScheme = errors.New("unsupported URL scheme")

// A Carrier makes connections between clients and servers. One value serves
// any number of them at the same time.
type Carrier interface {
	// Name is the short name that people read, such as "ws".
	Name() string

	// Dial connects to the server that r names, and returns when both ends
	// have agreed upon a protocol, or upon none. A server that answers with a
	// refusal gives a [*RejectedError]. A Dial that fails leaves no socket and
	// no goroutine behind.
	//
	// ctx bounds the call, not the connection. Dial returns when ctx ends,
	// whatever the server does. If ctx has no deadline, a Dial that uses a network
	// gives up a server that has not finished the handshake after 30 s at the
	// latest. It also gives up one whose answer does not end, before it has read
	// 16 MiB.
	//
	// With TLS, Dial verifies the server's certificate as package crypto/tls
	// does, and sends nothing of r before it has.
	Dial(ctx context.Context, r *Request) (Conn, error)

	// Offer reports whether r asks for a connection of this carrier, and
	// which protocols the client offers, in its order of preference.
	Offer(r *http.Request) (protocols []string, ok bool)

	// Upgrade answers a request for which Offer reported true, tells the
	// client that protocol was chosen and returns the connection. protocol is
	// one of the client's offers, or "" for none. If Upgrade fails, it has
	// answered with the status that says why.
	//
	// The client's Dial succeeds even if the server calls Close right after
	// Upgrade: the answer must not be lost with the connection.
	//
	// The connection goes on when the handler has returned. A stream of HTTP/2
	// does not: the server of package net/http ends it with its handler. A
	// carrier on HTTP/2 therefore has to be a [Listener] whose own server keeps
	// the stream, and its Upgrade fails for requests of other servers.
	Upgrade(w http.ResponseWriter, r *http.Request, protocol string) (Conn, error)
}

// A Request is what a client asks of a server.
type Request struct {
	// URL of the server's endpoint. Dial must not change it.
	URL *url.URL

	// Header is sent with the request. Dial must not change it.
	Header http.Header

	// Protocols that may run on the connection, the preferred one first.
	Protocols []string

	// TLS settings. nil means the defaults. Dial must not change it: it uses a
	// copy, in which it sets NextProtos. All other fields count, such as
	// ServerName, VerifyConnection and the client's certificates.
	TLS *tls.Config
}

// A Conn is a connection to a peer. It carries bytes in both directions, in
// order, and either delivers them or fails.
//
// At most one goroutine reads and one writes at a time; Close may come from
// another and at any time. Nobody sets its deadlines, so it need not have
// any. Write keeps nothing of its argument. A Read or Write of no bytes returns
// at once and changes nothing.
//
// Close returns at once, without waiting for the peer, and ends a blocked
// Read or Write; what is called after it fails with an error that matches
// [net.ErrClosed].
//
// Read returns [io.EOF] only if the peer ended the connection on purpose, which
// Close alone need not show. The end of a TCP connection does not show it: the
// kernel sends the same for a program that has crashed, and so does a proxy that
// restarts. A carrier on TCP has to say in its own bytes that nothing follows.
type Conn interface {
	net.Conn

	// Protocol is the one that both ends agreed upon, or "" for none.
	Protocol() string
}

// A CloseWriter is a [Conn] that can tell its peer that nothing more follows:
// the peer's Read returns [io.EOF] after the rest. Reading goes on, and has to
// until the peer is done as well: Close may throw away what is still on its
// way if there is input that nobody has read.
//
// If there is none, what was written before CloseWrite arrives although Close
// follows, and returns, at once. On TCP the kernel sees to that. A carrier for
// which nobody does may start a goroutine in Close that outlives it. That
// goroutine ends by itself, when the peer has everything or is gone, and 10 s
// after Close at the latest.
type CloseWriter interface {
	// CloseWrite is called after the last Write. It does not wait for the
	// peer, unless the peer takes so little that there is no room to say it.
	CloseWrite() error
}

// A MessageConn is a [Conn] that carries messages: the bytes of a Write, or of one of
// several messages to WriteMessages, arrive as one message, neither cut nor joined with
// others. If there are none, nothing needs to arrive.
type MessageConn interface {
	Conn

	// NextMessage waits for a message, and returns how many bytes it has, which may
	// be none. It need not wait for all of them. Read then reads them, and after
	// them returns [io.EOF], or another error if the connection ends before; what
	// has not been read when NextMessage is called again is dropped. A message of
	// more than limit bytes gives an error that matches [ErrMessageSize], and is the
	// last: the caller may still write why, and then end the connection. The error
	// is [io.EOF] if the peer ended the connection on purpose.
	//
	// Read and NextMessage are called from one goroutine at a time. One that never
	// calls NextMessage reads as from any other Conn.
	NextMessage(limit int) (size int, err error)

	// WriteMessages writes messages, if it can in one system call. It is called as
	// Write is, and retains nothing.
	WriteMessages(messages ...[]byte) error
}

// A PromptWriter is a [Conn] that can be written without waiting.
type PromptWriter interface {
	Conn

	// WriteNow writes each message as Write does, but only what there is room for at
	// once. It keeps a copy of the rest, and reports whether there is any. That leaves
	// before what is written next, and a Flush has to follow if nothing is.
	WriteNow(messages ...[]byte) (kept bool, err error)

	// Flush writes what WriteNow has kept, and waits for room as Write does. Both are
	// called as Write is.
	Flush() error
}

// A PromptReader is a [Conn] that can be read without waiting.
type PromptReader interface {
	Conn

	// ReadNow is Read of what has arrived. If that is nothing, or reading has come to
	// its end, n is 0: Read tells which. It is called as Read is.
	ReadNow(p []byte) (n int)
}

// ErrMessageSize is matched by the error of NextMessage for a message that is too
// large.
var ErrMessageSize = errors.New("message is too large")

// A Listener is a [Carrier] that listens by itself, on a UDP port for
// instance, instead of being upgraded from a request to an HTTP server's TCP
// port.
type Listener interface {
	// Listen announces addr and returns an endpoint whose Serve hands every
	// request to h. config holds the server's certificate, and may require one
	// of clients; a carrier without TLS may ignore it.
	//
	// The endpoint does for h what the server of package net/http does. Every
	// request has a goroutine of its own. Its Host is that of the URL that was
	// dialed, its RemoteAddr that of the connection, and its TLS the state of
	// the connection, with the client's certificates, or nil without TLS. If h
	// panics, its client gets no connection, and the program goes on.
	//
	// The endpoint also bounds handshakes, as the HTTP server does for other
	// carriers. It ends one that a client has not finished after 30 s at the
	// latest, or before 16 MiB, and meanwhile accepts others.
	Listen(addr string, config *tls.Config, h http.Handler) (Endpoint, error)
}

// An Endpoint is where a [Listener] listens.
type Endpoint interface {
	// Serve hands requests to the handler until Close. It then returns an
	// error that matches [net.ErrClosed].
	Serve() error

	// Addr is the address that is listened on.
	Addr() net.Addr

	// Close stops listening. It ends the handshakes that are under way, and the
	// requests that have not been answered. Connections that were made live on.
	// The address is free soon after, or if connections share the endpoint's
	// socket, as on UDP, soon after the last of them has ended.
	Close() error
}

// An Advertised is an [Endpoint] of which the HTTP server at the same host and
// another port tells its clients.
type Advertised interface {
	// AltSvc is the value of an Alt-Svc header (RFC 7838).
	AltSvc() string
}

// A HandshakeLimiter is an [Endpoint] that knows clients before they have asked for a
// connection, and whose limits for them can be changed.
type HandshakeLimiter interface {
	// LimitHandshakes has the endpoint end a client that does not ask for a connection
	// within timeout. If more than most clients have not asked yet, the endpoint ends
	// the ones that have waited longest. Both limits are more than 0. It is called
	// before Serve.
	LimitHandshakes(most int, timeout time.Duration)
}

// Legacy is a [Carrier] some of whose peers do not negotiate.
type Legacy interface {
	// LegacyProtocol is what runs on a connection on which nothing was
	// negotiated.
	LegacyProtocol() string
}

// A StreamCarrier is a [Carrier] all of whose connections are a [StreamConn].
type StreamCarrier interface {
	Carrier

	// HasStreams does nothing. It tells what its carrier can do before there is
	// a connection.
	HasStreams()
}

// A StreamConn is a [Conn] that has streams, beside the bytes that it carries
// itself. Its end ends them: after Close every method of a stream fails with
// an error that matches [net.ErrClosed]; after an end that came otherwise they
// fail with one that matches neither that nor [io.EOF].
//
// The Conn's own bytes travel on a stream too, which the client's first Read or
// Write opens, before all others. A client that never calls them costs nothing
// for it; the server's Read and Write wait for it.
type StreamConn interface {
	Conn

	// OpenStream opens a stream and announces it: the peer's AcceptStream
	// returns although nothing was written. It waits while the peer allows no
	// more streams. ctx bounds the call, not the stream.
	OpenStream(ctx context.Context) (Stream, error)

	// AcceptStream waits for a stream that the peer opens.
	AcceptStream(ctx context.Context) (Stream, error)

	// Windows are those of this end.
	Windows() Windows
}

// Windows are how many bytes that nobody has read an end takes from its peer, at
// most.
type Windows struct {
	// Stream is for a new stream. The window may double each time that more than
	// half of it has been read, up to MaxStream.
	Stream, MaxStream int

	// All is for all streams together. With more than that unread, all may wait,
	// also those that are read. It has to hold a Stream for each of the streams
	// that may stop being read at a time, and some more: 16 MiB with a Stream of
	// 512 KiB are used up by 32 of them. The native multiplexer stays below All
	// and below its own ReceiveBuffer, which is 64 MiB by default, so that buffer
	// is used in full only if All is larger.
	All int
}

// A Stream of a [StreamConn] carries bytes in both directions. At most one
// goroutine reads and one writes at a time; the other methods may be called
// from others and at any time, but for CloseWrite, which is not called during
// a Write.
type Stream interface {
	// Read returns [io.EOF] only after the peer's CloseWrite, and an error
	// that matches [*CanceledError] after its CancelWrite, or
	// [os.ErrDeadlineExceeded] at the deadline. A Read into no bytes waits for
	// nothing, and tells of a CancelWrite that has arrived before all that was
	// written has been read.
	io.Reader

	// Write fails with an error that matches [*CanceledError] after the peer's
	// CancelRead, or [os.ErrDeadlineExceeded] at the deadline.
	io.Writer

	// ID is the same on both ends, and no other stream of the connection has
	// it.
	ID() uint64

	// SetReadDeadline ends a blocked Read at t, and those that follow. The
	// zero value means never.
	SetReadDeadline(t time.Time) error

	// SetWriteDeadline is SetReadDeadline for Write.
	SetWriteDeadline(t time.Time) error

	// CloseWrite tells the peer that nothing more follows. It does not wait.
	CloseWrite() error

	// CancelRead discards what has arrived and will, and makes the peer's
	// Write fail, and the Read of this end. It does not wait.
	CancelRead(code uint32)

	// CancelWrite gives up what has not reached the peer yet, and makes its
	// Read fail. It does not wait.
	CancelWrite(code uint32)
}

// A CanceledError is the error of a [Stream] that the peer has canceled.
type CanceledError struct {
	// Code is what the peer gave as the reason.
	Code uint32
}

func (e *CanceledError) Error() string {
	return fmt.Sprintf("stream canceled by the peer with code %d", e.Code)
}

// AllowOrigin returns r with the note that a page of its Origin may connect, which
// somebody has decided who knows better than the carrier.
func AllowOrigin(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), originAllowed{}, true))
}

// ErrOrigin is matched by the error of Upgrade for a page that may not connect.
var ErrOrigin = errors.New("origin not allowed")

// OriginAllowed reports whether r has the note of [AllowOrigin]. The Upgrade of a
// carrier that pages can use refuses others, with status 403 and [ErrOrigin], unless
// they are of the host that the request is for.
func OriginAllowed(r *http.Request) bool { return r.Context().Value(originAllowed{}) != nil }

type originAllowed struct{}
