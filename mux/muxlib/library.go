package muxlib

import (
	"net"

	"github.com/backdial/backdial/mux"
)

// A Library describes a multiplexing library to [New].
type Library struct {
	// Name and Protocol are those of [mux.Muxer].
	Name, Protocol string

	// Start starts a session of the library on end, which the session closes. It turns the
	// library's own keepalive off, and every timeout that would end a session.
	Start func(end *End) (Session, error)

	// Streams is how many streams an end may open in total, for [mux.Config.OnExhausting].
	// After that the library's Open fails with an error that stands for [mux.ErrGoAway]. 0
	// means any number.
	Streams int64

	// Backlog says that the library's Accept tells the peer, whose Open waits while
	// [mux.Config.AcceptBacklog] streams are not accepted. Accept is then called when the
	// user calls Accept. Otherwise it is called at once, and [Frames] makes Open wait: a
	// stream has been accepted when any frame arrives for it.
	Backlog bool

	// Errors maps errors of the library to those of package mux that they stand for, such
	// as [mux.ErrReset], [mux.ErrGoAway] and [mux.ErrProtocol].
	Errors map[error]error
}

// A Session is a session of the library. Several goroutines call its methods. It may also
// be a [Pinger], a [Leaver], a [Messenger] and a [Flusher], and may embed [Frames].
//
// Many libraries report a lost session as the end of a file. Without Frames, an end of a
// stream that is read after the session has ended fails with [mux.ErrSessionEnded], even
// if the stream was complete, and a stream that arrives just when the session ends may be
// lost.
type Session interface {
	// Open opens a stream. It may wait for the peer. Close ends the wait.
	Open() (net.Conn, error)

	// Accept waits for a stream that the peer opens. Close ends the wait. Its error says
	// why the session has ended.
	Accept() (net.Conn, error)

	// Close closes the connection, and ends all calls and goroutines of the session. It is
	// called last. If the connection fails before that, streams return what has arrived
	// until Close, and then fail.
	Close() error
}

// A Stream is what [Session.Open] and [Session.Accept] return. At any time at most one
// goroutine reads it, one writes it, and one ends it. It may also be a [HalfCloser], a
// [Resetter] and an [Accepter].
//
// SetReadDeadline is used, with a time in the past, to end a Read. SetWriteDeadline is
// not used. Close ends a Write. What was written before still arrives. When Write
// returns, its bytes have left for the connection.
type Stream = net.Conn

// A HalfCloser is a [Stream] that can end one direction.
type HalfCloser interface {
	// CloseWrite tells the peer that nothing more follows. It returns when that has left
	// for the connection.
	CloseWrite() error
}

// A Pinger is a [Session] that can ask its peer for an answer. Without it, whatever
// arrives is the session's only sign of life: Ping fails, and the round trip is unknown.
// A peer that goes on sending but reads nothing is noticed only if it has answered a ping
// before.
type Pinger interface {
	// Ping waits for the peer's answer. Close ends the wait.
	Ping() error
}

// A Leaver is a [Session] that can tell its peer that it takes no more streams. The
// peer's Open then fails with an error that Library.Errors maps to [mux.ErrGoAway], or
// its adapter calls [End.PeerLeaves]. Without it a peer learns of a Shutdown when its
// streams are refused.
type Leaver interface {
	// Leave returns when the message has left for the connection.
	Leave() error
}

// A Messenger is a [Session] that can carry messages. It calls [End.Message] for each
// that arrives. Without it Send fails.
type Messenger interface {
	// Send sends a message without waiting for the peer.
	Send(message []byte) error
}

// A Flusher is a [Session] whose calls may return before their bytes have left for the
// connection.
type Flusher interface {
	// Flush waits until those bytes have left. Close ends the wait.
	Flush()
}

// A Resetter is a [Stream] that can be given up so that the peer does not mistake that
// for an orderly end. Without it Reset is Close.
type Resetter interface {
	// Reset ends both directions, and the calls of this end. It does not wait.
	Reset()
}

// An Accepter is a [Stream] that can tell the peer that it was accepted.
type Accepter interface {
	// Accepted tells the peer. It does not wait.
	Accepted()
}

// Identified is a [Stream] of a [Session] that embeds [Frames].
type Identified interface {
	// StreamID is the stream's [Frame.Stream].
	StreamID() uint32
}

// New returns the multiplexer made from library.
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
