// Package mux is the contract of multiplexers: what turns one connection
// into many streams.
//
// A [Muxer] wraps one end of a connection in a [Session]; a Session opens and
// accepts a [Stream], which is a [net.Conn] with half-close. The package holds
// no implementation. Those of this module are
// [github.com/backdial/backdial/mux/qmux],
// [github.com/backdial/backdial/mux/yamuxmux],
// [github.com/backdial/backdial/mux/smuxmux] and
// [github.com/backdial/backdial/mux/nativemux].
// [github.com/backdial/backdial/mux/muxlib] makes one of a library that multiplexes, and
// [github.com/backdial/backdial/mux/muxtest] is this contract, executed: run
// it on a muxer of your own.
//
// # The two sides
//
// The two ends of a session are named for what they do in this library, which
// is not what they did to connect. The server, which was dialled, opens the
// streams: it is the dial side. The client, which dialled, accepts them: it is
// the listen side.
//
// # What a stream promises
//
// Every implementation keeps these, and [muxtest] checks each by name:
//
//   - A Stream passes nettest.TestConn.
//   - Read returns [io.EOF] only after the peer finished the stream with
//     CloseWrite or Close. If the session ends before that, Read returns what
//     had arrived and then an error that matches [ErrSessionEnded].
//   - What was written before CloseWrite or Close arrives, also when the
//     session is closed right after.
//   - What was written on a stream has left when Close or CloseWrite returns, and
//     when Write returns if no other data was in front of it: the connection has taken
//     it, and a program may end. If the connection is stuck, they return in bounded time,
//     and Close and CloseWrite with [ErrUnsent].
//   - What is read is what was written, whatever the size, and Write does not keep
//     its argument. Concurrent Writes on one stream do not interleave: each is read
//     as one piece.
//   - CloseWrite ends one direction; the other goes on. It returns nil, as Close does,
//     when the peer has closed or reset the stream before: Read and Write tell of that.
//   - LocalAddr and RemoteAddr of a stream are those of its connection.
//   - A deadline that moves while a Read or Write blocks takes effect, at its time.
//     Errors match [os.ErrDeadlineExceeded] and, after a local Close, [net.ErrClosed].
//   - Open costs no round trip, and the peer's Accept returns at once even if
//     nothing is written.
//   - Open ends with its ctx, even when the peer never accepts. So does Accept.
//   - Streams that nobody reads do not slow down the others, and memory stays
//     below [Config.ReceiveBuffer]. A small Write does not wait behind large ones of
//     other streams for longer than it takes to send one of them.
//   - A stream that is read is not reset for lack of memory, however slowly it is read,
//     if its reader would take what the stream holds within 10 s. While memory is full
//     the peer waits, and the session lives on. Only streams that are not read, or would
//     take longer, are reset, those that hold most first, and about a second later the
//     others go on.
//   - A session opens any number of streams, one after the other. A closed stream
//     leaves nothing in memory; an open one on which nothing happens costs at most
//     16 KiB and 4 goroutines on each end.
//   - Windows are what [Config] says.
//   - A Write to a peer that closed the stream, or vanished, ends with an error
//     in bounded time.
//   - Reset ends a stream at once, also while the carrier is stuck, and the peer
//     does not take what has arrived for all: its calls fail with [ErrReset].
//   - A WriterTo hands over what Read would return, and ends as that would.
//   - A Checker knows of a reset before it has read up to there.
//   - A peer that shuts down is told apart from one that is gone: Open fails with
//     [ErrGoAway], and what is open goes on.
//   - Ping tells a peer that lives from one that does not, and RoundTrip follows the
//     path.
//   - A peer that is gone ends the session in bounded time, and so does one that reads
//     nothing, although it goes on sending.
//   - Messages arrive whole, in order and one at a time, also right before Close.
//   - Close of anything may be repeated, wakes everything blocked on it and
//     leaves no goroutine behind. Close of a stream waits for the connection alone, and
//     that of a session for the peer; both for [Config.Linger] at most.
//   - Whatever a hostile peer sends costs bounded memory, and at worst ends its
//     own session with a reason that matches [ErrProtocol].
package mux

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// Errors that callers act upon. Implementations wrap them, with the cause.
var (
	// ErrSessionEnded is matched by the errors of a stream or session whose
	// session is over without having been closed on this end: the peer closed
	// it, the carrier failed, or the peer went silent.
	ErrSessionEnded = errors.New("session ended")

	// ErrClosedByPeer is matched by the cause of the end of a session that the
	// peer closed on purpose, as far as the carrier can tell. Such errors match
	// ErrSessionEnded too.
	ErrClosedByPeer = errors.New("closed by the peer")

	// ErrReset is matched by the errors of a stream that the peer refused, reset
	// or gave up while this end was still using it.
	ErrReset = errors.New("stream reset by peer")

	// ErrGoAway is matched by the error of Open once the peer has announced
	// that it takes no new streams, or this end has used up the protocol's stream
	// ids. Streams that are open go on.
	ErrGoAway = errors.New("peer takes no new streams")

	// ErrUnsent is matched by the error of Close and CloseWrite of a stream if the
	// connection has taken nothing for [Config.Linger], and has not been given all of
	// the stream. The stream is closed all the same. What is left is sent if the
	// connection goes on before the session ends.
	ErrUnsent = errors.New("not everything was sent")

	// ErrSilent is matched by the cause of the end of a session whose peer gave
	// no sign of life, or sent data but answered nothing. Such errors match
	// ErrSessionEnded too.
	ErrSilent = errors.New("peer is silent")

	// ErrProtocol is matched by the cause of the end of a session whose peer
	// broke the protocol or exceeded a limit. Such errors match
	// ErrSessionEnded too.
	ErrProtocol = errors.New("protocol violation")
)

// A Muxer makes sessions. It holds only settings, so that one value serves
// any number of connections at the same time.
type Muxer interface {
	// Name is the short name that people read, such as "yamux".
	Name() string

	// Protocol is the token that names the muxer and everything that both
	// ends must agree upon, such as "backdial.v1.yamux". It is negotiated
	// when the carrier connects, as a WebSocket subprotocol for instance, so
	// it has to be a token in the sense of RFC 9110, section 5.6.2.
	Protocol() string

	// DialSide starts the server's end of a session on conn. The session owns
	// conn from then on, also if DialSide fails. It never sets deadlines on
	// conn, calls Read and Write each from one goroutine at a time, and relies
	// on conn.Close to return at once and to end both.
	//
	// If conn has a CloseWrite method, the session uses it to end gracefully. A
	// DialSide that waits for the peer fails when conn is closed.
	DialSide(conn net.Conn, config Config) (Session, error)

	// ListenSide is DialSide for the client's end.
	ListenSide(conn net.Conn, config Config) (Session, error)
}

// A StreamMuxer is a [Muxer] that hands out the streams that a connection has
// of its own. It works on no other: conn has to be a carrier.StreamConn of
// package carrier.
type StreamMuxer interface {
	Muxer

	// NeedsStreams does nothing. It tells what its muxer needs before there is
	// a connection.
	NeedsStreams()
}

// MaxMessage is how many bytes a message has at most.
const MaxMessage = 1024

// Config holds the limits of one session. The zero value means the defaults.
type Config struct {
	// MaxStreams limits the streams that the peer may have open at a time.
	// More are refused: the peer's use of them fails with [ErrReset].
	// 0 means 16384; negative means that the peer may not open any, and that a
	// peer which goes on trying loses the session.
	MaxStreams int

	// AcceptBacklog limits the streams that the peer has opened and nobody
	// has accepted yet. More are refused. It is also how many streams Open
	// opens before it waits for the peer to accept one. 0 means 256.
	AcceptBacklog int

	// Window is how many bytes of a stream the peer may send before this end
	// has read them, to begin with. 256 KiB are the default and the least.
	// More than 512 MiB means 512 MiB.
	Window int

	// MaxWindow is how far Window grows for a stream whose reader waits for a
	// peer that is far away. A window bounds throughput to that much per round
	// trip: 256 KiB give 12 MB/s at 20 ms. It grows to twice what the reader
	// reads per round trip, so that it keeps neither the path nor the other
	// streams waiting, and not at all if a round trip takes less than a
	// millisecond. 0 means 16 MiB; less than Window means that it does not grow.
	MaxWindow int

	// ReceiveBuffer limits the memory, in bytes, that holds what has arrived in
	// a session and was not read yet, over all streams. At the limit the peer waits
	// for streams to be read. 0 means 64 MiB.
	//
	// Streams that are abandoned are reset then, those that hold most first, until a
	// quarter of the buffer is free. A stream is abandoned if nobody has read it for 0.6 s
	// since memory became short; once 64 KiB of it have been read its reader may rest for
	// 3 s, or for twice as long as it has rested before, up to 10 s. If all readers
	// together would take more than 10 s for what the session holds, each stream whose
	// reader would take longer than that counts as abandoned too.
	//
	// In yamux and smux the peer's credit waits behind its data. An application that
	// echoes, or reads only when it could write, can so wait for itself on more streams
	// than the buffer holds windows, 256 by default, and lose some of them.
	ReceiveBuffer int

	// KeepAlive is how often the session asks the peer for a sign of life. The
	// default, 15 s, is well below the minute after which many proxies drop an
	// idle connection. Negative means never.
	KeepAlive time.Duration

	// KeepAliveTimeout is how long the peer may then remain silent before the
	// session ends. So a dead path is noticed within KeepAlive +
	// KeepAliveTimeout. A peer that is there, but takes nothing from the carrier or
	// answers nothing, ends the session after twice that time. An answer may be behind
	// data that arrives slowly: as long as 1 KiB/s arrives, the session waits for
	// 256 KiB. 0 means 15 s; more than KeepAlive means KeepAlive.
	KeepAliveTimeout time.Duration

	// Linger bounds how long Close of the session waits for the peer to take what was
	// written, and for how long Close and CloseWrite of streams wait for a connection
	// that is stuck, all together. 0 means 3 s; negative means not at all.
	Linger time.Duration

	// OnMessage is called with what the peer sends by [Session.Send], one message
	// after the other. The session hears nothing else until it returns, so it must
	// not wait for the peer. nil means that messages are ignored. The message is
	// the callee's to keep. A session may have called it before the function that
	// made the session returns.
	OnMessage func(message []byte)

	// OnExhausting is called once, when this end has opened nearly as many streams
	// as the protocol has ids for: another session should take over. At least a
	// million streams can still be opened; then Open fails with [ErrGoAway]. The call
	// has a goroutine of its own, for which Close of the session waits. nil means that
	// only Open tells. A protocol with 2⁶⁰ ids need not count them.
	OnExhausting func()
}

// WithDefaults returns c with every zero field replaced by its default.
func (c Config) WithDefaults() Config {
	c.MaxStreams = cmp.Or(c.MaxStreams, 16384)
	c.AcceptBacklog = cmp.Or(c.AcceptBacklog, 256)
	c.Window = min(max(c.Window, 256<<10), 1<<29)
	c.MaxWindow = min(max(cmp.Or(c.MaxWindow, 16<<20), c.Window), 1<<29)
	c.ReceiveBuffer = cmp.Or(c.ReceiveBuffer, 64<<20)
	c.KeepAlive = cmp.Or(c.KeepAlive, 15*time.Second)
	c.KeepAliveTimeout = min(cmp.Or(c.KeepAliveTimeout, 15*time.Second), c.KeepAlive)
	c.Linger = cmp.Or(c.Linger, 3*time.Second)
	return c
}

// A Session is one end of a multiplexed connection. Its methods may be called
// by several goroutines at a time.
type Session interface {
	// Open opens a stream without waiting for the peer, unless the peer has
	// a full backlog of streams to accept. ctx bounds the call, not the
	// stream.
	Open(ctx context.Context) (Stream, error)

	// Accept waits for a stream that the peer opens. ctx bounds the call, not the
	// stream.
	Accept(ctx context.Context) (Stream, error)

	// Send sends a message of [MaxMessage] bytes at most, beside all streams, and
	// does not wait: the peer's [Config.OnMessage] is called with it. Messages
	// arrive in order, also when the session is closed right after, but in no
	// order with what is sent on streams. A peer that knows nothing of messages
	// ignores it. Send fails if the session has ended, if the peer cannot get
	// messages, or if it takes so little that too much waits for it already.
	Send(message []byte) error

	// Ping asks the peer for a sign of life, and waits until there is one, or ctx or
	// the session has ended. A peer whose library does not answer is not told apart
	// from one that is dead.
	Ping(ctx context.Context) error

	// RoundTrip is how long the peer took to answer the last time that this end
	// asked. It is 0 until the first answer. A session asks for it without a Ping, at
	// the latest when [Config.KeepAlive] has passed, and again each time that it
	// passes, so RoundTrip follows a path that changes.
	RoundTrip() time.Duration

	// Streams is how many streams are in use: opened or accepted on this end, and
	// not closed by their user.
	Streams() int

	// Shutdown stops opening and accepting streams, waits until every stream
	// in use has been closed by its user, then closes the session. When ctx
	// ends first it closes the session at once and returns ctx's error.
	Shutdown(ctx context.Context) error

	// Close ends the session and its streams, and wakes whatever is blocked
	// on them. It waits, for [Config.Linger] at most, until the peer has what
	// was written, and for its goroutines.
	Close() error

	// Context is cancelled when the session has ended. [context.Cause] then
	// tells why: it matches [net.ErrClosed] after Close on this end, and
	// [ErrSessionEnded] otherwise.
	Context() context.Context
}

// A Stream is one bidirectional, ordered and reliable sequence of bytes.
//
// Some streams are also a [WriterTo], a [Checker] or a [CodeResetter]. Callers find out with
// a type assertion and rely on the answer, so a wrapper of a Stream implements those that
// the Stream implements, and no others.
type Stream interface {
	// Write returns when the connection has taken what was written, if no other data
	// was in front of it, and otherwise when it is in a queue of bounded length.
	//
	// Close ends both directions. What was written still arrives; what the
	// peer still sends is discarded, and its writes fail. Close waits until the
	// connection has taken what was written and the end of the stream, or has been stuck
	// for [Config.Linger]: see [ErrUnsent]. It does not wait for the end of a stream if
	// the peer has answered: if it has sent data after all that was written had left.
	// The end then follows by itself, and CloseWrite before Close waits for it.
	// Otherwise Close returns nil, whatever became of the stream. Concurrent Writes take
	// turns: what one of them writes is not interrupted by another.
	net.Conn

	// CloseWrite tells the peer that nothing more follows: its Read returns
	// [io.EOF] after the rest. This end can still read. CloseWrite waits as Close
	// does, but always for the end too, and no longer than until the deadline of
	// writes. It may be repeated, and goes on waiting. Its error matches [net.ErrClosed]
	// after Close or Reset on this end, and [ErrSessionEnded] if the session has ended
	// otherwise. It is nil if the peer has closed or reset the stream, since nobody
	// waits for the end then.
	CloseWrite() error

	// Reset gives the stream up: it ends both directions at once, and the peer
	// cannot take that for an orderly end. Its Read and Write fail with an error
	// that matches [ErrReset], Read perhaps after some of what had arrived. What
	// was written and has not arrived may be lost, and what the peer still sends
	// is discarded. A direction that had been ended with CloseWrite stays complete
	// for a peer that has read all of it, and may be reset otherwise.
	//
	// On this end the stream is closed: calls fail with [net.ErrClosed], those that
	// block too. Reset costs no round trip and waits for nothing. It may be
	// repeated, and Close after it does nothing; nor does Reset after Close, so one
	// that is deferred gives up what was not closed.
	//
	// To a peer of another library a reset is what its protocol has: see the
	// package of the implementation. One that has codes makes a [CodeResetter].
	Reset() error
}

// A WriterTo is a [Stream] that hands over what it has received without a buffer of the
// reader's, so that waiting for data takes no memory worth mentioning. [io.Copy] uses it.
type WriterTo interface {
	Stream

	// WriteTo writes to w what arrives, until the peer has finished the stream, which
	// is not an error, or Read would fail: with its error, also when a deadline passes.
	// No lock is held while w is written to, and Close, Reset and deadlines of this end
	// do not wake w. The peer may send more when w has taken what it was given. If w
	// fails, WriteTo returns its error, and what w has not taken may be lost.
	WriteTo(w io.Writer) (n int64, err error)
}
