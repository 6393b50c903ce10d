package muxlib

import (
	"net"

	"github.com/backdial/backdial/mux"
)

// A Library is a multiplexing library, as [New] needs to know it.
type Library struct {
	// Name and Protocol are what [mux.Muxer] says of them.
	Name, Protocol string

	// Start starts a session of the library on end, which the session closes. It turns
	// the library's own keepalive off, and its timeouts as far as they end a session.
	Start func(end *End) (Session, error)

	// Streams is how many streams the protocol lets an end open in all, for
	// [mux.Config.OnExhausting]. The library's Open fails with an error that means
	// [mux.ErrGoAway] then. 0 means any number.
	Streams int64

	// Backlog says that the peer's Open waits while [mux.Config.AcceptBacklog] streams
	// were not accepted, and that the library's Accept tells it. Accept is then called
	// when a user does. Otherwise it is called at once, and [Frames] has Open wait: a
	// stream has been accepted when anything is heard of it.
	Backlog bool

	// Errors says which errors of package mux the library's mean, such as
	// [mux.ErrReset], [mux.ErrGoAway] and [mux.ErrProtocol].
	Errors map[error]error
}

// A Session is a session of the library. Several goroutines call its methods. Besides
// these it may be a [Pinger], a [Leaver], a [Messenger] and a [Flusher], and embed [Frames].
//
// Many libraries report a lost session as the end of a file. Without Frames, an end of a
// stream that is read after the session has ended fails with [mux.ErrSessionEnded],
// although it may have been complete, and a stream may be lost that arrives in the same
// moment as the end of the session.
type Session interface {
	// Open opens a stream. It may wait for the peer, until Close.
	Open() (net.Conn, error)

	// Accept waits for a stream that the peer opens, until Close. Its error says why the
	// session has ended.
	Accept() (net.Conn, error)

	// Close closes the connection, and ends all calls and goroutines of the session. It
	// is called last. When the connection has failed before, streams hand over what has
	// arrived, until then, and fail.
	Close() error
}

// A Stream is what [Session.Open] and [Session.Accept] return. One goroutine at a time
// reads it, one writes, and one ends it. It may be a [HalfCloser], a [Resetter] and an
// [Accepter].
//
// SetReadDeadline is used: a time in the past ends a Read. SetWriteDeadline is not. Close
// ends a Write. What was written before still arrives; what Write has returned from has
// left for the connection.
type Stream = net.Conn

// A HalfCloser is a [Stream] one direction of which can be ended.
type HalfCloser interface {
	// CloseWrite tells the peer that nothing more follows. It returns when that has left
	// for the connection.
	CloseWrite() error
}

// A Pinger is a [Session] that can ask its peer for an answer. Without it the session has
// only what arrives by itself as a sign of life: Ping fails, and nothing is known of the
// round trip. A peer that goes on sending, but reads nothing, is noticed if it has answered
// a ping before.
type Pinger interface {
	// Ping waits for the peer's answer, until Close.
	Ping() error
}

// A Leaver is a [Session] that can tell its peer that it takes no more streams. The
// peer's Open then fails with an error that Library.Errors says is [mux.ErrGoAway], or
// it has [End.PeerLeaves] called. Without it a peer learns of a Shutdown when its streams
// are refused.
type Leaver interface {
	// Leave returns when that has left for the connection.
	Leave() error
}

// A Messenger is a [Session] that can carry messages. It calls [End.Message] for those
// that arrive. Without it Send fails.
type Messenger interface {
	// Send sends a message without waiting for the peer.
	Send(message []byte) error
}

// A Flusher is a [Session] that returns from calls before what they do has left for the
// connection.
type Flusher interface {
	// Flush waits until it has, or Close.
	Flush()
}

// A Resetter is a [Stream] that can be given up so that the peer does not take that for
// an orderly end. Without it Reset is Close.
type Resetter interface {
	// Reset ends both directions, and the calls of this end, without waiting.
	Reset()
}

// An Accepter is a [Stream] that tells the peer that it was accepted.
type Accepter interface {
	// Accepted does not wait.
	Accepted()
}

// Identified is a [Stream] of a [Session] that embeds [Frames].
type Identified interface {
	// StreamID is what [Frame.Stream] says.
	StreamID() uint32
}

// New returns the multiplexer that library is.
func New(library Library) mux.Muxer { return muxer{library} }

type muxer struct{ library Library }

func (m muxer) Name() string     { return m.library.Name }
func (m muxer) Protocol() string { return m.library.Protocol }

func (m muxer) DialSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	return newSession(&m.library, conn, true, config)
}

func (m muxer) ListenSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	return newSession(&m.library, conn, false, config)
}
