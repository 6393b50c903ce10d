// Package mux is the contract of multiplexers, which turn one connection into many
// streams.
//
// A [Muxer] wraps one end of a connection in a [Session]. A Session opens and accepts
// [Stream]s, each a [net.Conn] with half-close. The package holds no implementation. This
// module's are [github.com/backdial/backdial/mux/qmux],
// [github.com/backdial/backdial/mux/yamuxmux], [github.com/backdial/backdial/mux/smuxmux]
// and [github.com/backdial/backdial/mux/nativemux].
// [github.com/backdial/backdial/mux/muxlib] makes a Muxer from a library that
// multiplexes. [github.com/backdial/backdial/mux/muxtest] tests this contract: run it on
// a muxer of your own.
//
// # The two sides
//
// The two ends of a session are named for what they do in this library, not for how they
// connected. The server was dialled, and opens the streams: it is the dial side. The
// client dialled, and accepts them: it is the listen side.
//
// # What a stream promises
//
// Every implementation keeps these promises, and [muxtest] checks each by name:
//
//   - A Stream passes nettest.TestConn.
//   - Read returns [io.EOF] only after the peer finished the stream with CloseWrite or
//     Close. If the session ends before that, Read returns what has arrived and then an
//     error that matches [ErrSessionEnded].
//   - What was written before CloseWrite or Close arrives, even if the session is closed
//     right after.
//   - When Close or CloseWrite returns, the connection has taken everything written on
//     the stream, and the program may exit. The same holds when Write returns, if no
//     other data was queued before it. If the connection is stuck, all three return in
//     bounded time, and Close and CloseWrite return [ErrUnsent].
//   - Read returns what was written, whatever the size, and Write does not keep its
//     argument. Concurrent Writes on one stream do not interleave: each is read as one
//     piece.
//   - CloseWrite ends one direction; the other goes on. CloseWrite and Close return nil
//     if the peer has already closed or reset the stream: Read and Write report that.
//   - A stream's LocalAddr and RemoteAddr are those of its connection.
//   - A deadline that moves while a Read or Write blocks takes effect at its new time.
//     Errors match [os.ErrDeadlineExceeded] and, after a local Close, [net.ErrClosed].
//   - Open costs no round trip. The peer's Accept returns at once even if nothing is
//     written.
//   - Open and Accept return when their ctx ends, even if the peer does nothing.
//   - Streams that nobody reads do not slow down the others, and memory stays below
//     [Config.ReceiveBuffer]. A small Write waits behind at most one large Write's worth
//     of other streams' data, or behind what the connection takes within a millisecond.
//   - A stream that is being read is not reset for lack of memory, however slow its
//     reader, if that reader would take what the stream holds within 10 s. While memory
//     is full the peer waits, and the session lives on. Only streams that are not read,
//     or would take longer, are reset. The largest are reset first, and about a second
//     later the others go on.
//   - A session opens any number of streams, one after the other. A closed stream uses no
//     memory; an idle open one costs at most 16 KiB and 4 goroutines on each end.
//   - Windows have the sizes that [Config] gives.
//   - A Write to a peer that has closed the stream or vanished fails in bounded time.
//   - Reset ends a stream at once, even if the carrier is stuck. The peer does not
//     mistake what has arrived for the whole stream: its calls fail with [ErrReset].
//   - A WriterTo writes what Read would return, and ends as Read would.
//   - A Checker reports a reset before Read reaches it.
//   - A peer that shuts down differs from one that is gone: Open fails with [ErrGoAway],
//     and open streams go on.
//   - Ping tells a live peer from a dead one, and RoundTrip follows the path.
//   - A peer that is gone ends the session in bounded time. So does one that reads
//     nothing, even if it goes on sending.
//   - Messages arrive whole, in order and one at a time, even right before Close.
//   - Close may be called repeatedly on anything. It wakes everything blocked on it and
//     leaves no goroutine behind. A stream's Close waits only for the connection, a
//     session's for the peer; both wait for [Config.Linger] at most.
//   - Whatever a hostile peer sends costs bounded memory, and at worst ends its own
//     session with a cause that matches [ErrProtocol].
package mux

import (
	"cmp"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"time"
)

// Errors that callers act upon. Implementations wrap them together with the cause.
var (
	// ErrSessionEnded is matched by the errors of a stream or session whose session ended
	// without Close on this end: the peer closed it, the carrier failed, or the peer went
	// silent.
	ErrSessionEnded = errors.New("session ended")

	// ErrClosedByPeer is matched by the cause of a session's end if the peer closed the
	// session on purpose, as far as the carrier can tell. Such errors match
	// ErrSessionEnded too.
	ErrClosedByPeer = errors.New("closed by the peer")

	// ErrReset is matched by the errors of a stream that the peer refused, reset or gave
	// up while this end was still using it.
	ErrReset = errors.New("stream reset by peer")

	// ErrGoAway is matched by the error of Open once the peer has announced that it takes
	// no new streams, or this end has used up the protocol's stream ids. Open streams go
	// on.
	ErrGoAway = errors.New("peer takes no new streams")

	// ErrUnsent is matched by the error of a stream's Close and CloseWrite if the
	// connection has taken nothing for [Config.Linger] while some of the stream was still
	// unsent. The stream is closed all the same. The rest is sent if the connection goes
	// on before the session ends.
	ErrUnsent = errors.New("not everything was sent")

	// ErrSilent is matched by the cause of a session's end if the peer gave no sign of
	// life, or sent data but answered nothing. Such errors match ErrSessionEnded too.
	ErrSilent = errors.New("peer is silent")

	// ErrProtocol is matched by the cause of a session's end if the peer broke the
	// protocol or exceeded a limit. Such errors match ErrSessionEnded too.
	ErrProtocol = errors.New("protocol violation")
)

// A Muxer makes sessions. It holds only settings, so one value serves any number of
// connections at the same time.
type Muxer interface {
	// Name is the short name for people, such as "yamux".
	Name() string

	// Protocol is the token that names the muxer and everything that both ends must agree
	// upon, such as "backdial.v1.yamux". The carrier negotiates it when it connects, for
	// instance as a WebSocket subprotocol, so it must be a token as in RFC 9110, section
	// 5.6.2.
	Protocol() string

	// DialSide starts the server's end of a session on conn. The session then owns conn,
	// even if DialSide fails. It never sets deadlines on conn, calls Read and Write each
	// from one goroutine at a time, and needs conn.Close to return at once and to end
	// both.
	//
	// If conn has a CloseWrite method, the session uses it to end gracefully. A DialSide
	// that waits for the peer fails when conn is closed.
	DialSide(conn net.Conn, config Config) (Session, error)

	// ListenSide is DialSide for the client's end.
	ListenSide(conn net.Conn, config Config) (Session, error)
}

// A StreamMuxer is a [Muxer] that uses the connection's own streams. It works only on a
// conn that is a carrier.StreamConn of package carrier.
type StreamMuxer interface {
	Muxer

	// NeedsStreams does nothing. Its presence says what the muxer needs, before there is a
	// connection.
	NeedsStreams()
}

// A Greeter is a [Muxer] whose ends have to know something of each other before they can
// use a session. If the carrier takes that along when it connects, the first stream need
// not wait for another round trip. [Config.Greeting] is what the peer has said.
//
// A client says it first, and not every server answers. So the client's end of a session
// has a Greeting only if the server's has one, but not the other way round: on the
// server's end, the session must go on if the client greets it again.
type Greeter interface {
	Muxer

	// Greeting returns what an end with config says. It has [MaxGreeting] bytes at most.
	Greeting(config Config) []byte

	// CheckGreeting returns an error that matches [ErrProtocol] if a peer must not say that.
	CheckGreeting(greeting []byte) error
}

// MaxGreeting is the largest size of a greeting, in bytes.
const MaxGreeting = 512

// MaxMessage is the largest size of a message, in bytes.
const MaxMessage = 1024

// Config holds the limits of one session. The zero value means the defaults.
type Config struct {
	// MaxStreams limits the streams that the peer may have open at a time. More are
	// refused: the peer's use of them fails with [ErrReset]. 0 means 16384. Negative means
	// that the peer may not open any; a peer that keeps trying loses the session.
	MaxStreams int

	// AcceptBacklog limits the streams that the peer has opened and this end has not
	// accepted yet. More are refused. It is also how many streams Open opens before it
	// waits for the peer to accept one. 0 means 256; negative means MaxStreams, and at
	// least 16384.
	AcceptBacklog int

	// Window is how many bytes of a new stream the peer may send before this end has read
	// them. 256 KiB is the default and the minimum, also if it is negative. More than 512
	// MiB means 512 MiB.
	Window int

	// MaxWindow is the size to which the window of a stream may grow while its reader
	// waits for a distant peer. A window bounds throughput to its size per round trip: 256
	// KiB give 12 MB/s at 20 ms. It grows to twice what the reader reads per round trip,
	// so that neither the path nor other streams wait, and not at all if a round trip
	// takes less than a millisecond. 0 means 16 MiB; less than Window, or negative, means
	// that it does not grow.
	MaxWindow int

	// ReceiveBuffer limits the memory, in bytes, for data that a session has received and
	// the application has not read yet, over all streams. At the limit the peer waits
	// until streams are read. 0 means 64 MiB; negative means no limit.
	//
	// At the limit the session also resets abandoned streams, the largest first, until a
	// quarter of the buffer is free. A stream is abandoned if nobody has read it for 0.6 s
	// since memory became short. Once 64 KiB of it have been read, its reader may pause
	// for 3 s, or for twice as long as it has paused before, up to 10 s. Time in which the
	// program gets no processor does not count. If all readers together would take more than
	// 10 s to read what the session holds, each stream whose reader would take longer than
	// that also counts as abandoned.
	//
	// In yamux and smux the peer's credit queues behind its data. An application that
	// echoes, or reads only when it can write, may therefore deadlock with itself on more
	// streams than the buffer holds windows, 256 by default, and lose some of them.
	ReceiveBuffer int

	// KeepAlive is how long the peer may be silent before the session asks it for a sign of
	// life. The ends of an idle session take turns, so that one ping and its answer serve
	// both. A peer that goes on sending is asked too, at least once in twice that time. The
	// default, 15 s, is well below the minute after which many proxies drop an idle
	// connection. Negative means never.
	KeepAlive time.Duration

	// KeepAliveTimeout is how long the peer may then stay silent before the session ends,
	// so a dead path is noticed within KeepAlive + KeepAliveTimeout. A peer that is alive,
	// but takes nothing from the carrier or answers nothing, ends the session after twice
	// that time. An answer may queue behind data that arrives slowly: as long as 1 KiB/s
	// arrives, the session waits for 256 KiB. 0 means 15 s; more than KeepAlive, or negative,
	// means KeepAlive.
	KeepAliveTimeout time.Duration

	// Linger bounds how long a session's Close waits for the peer to take what was
	// written, and how long a stream's Close and CloseWrite wait for a stuck connection,
	// all together. 0 means 3 s; negative means no wait.
	Linger time.Duration

	// OnMessage is called with each message that the peer sends by [Session.Send], one at
	// a time. The session reads nothing else until OnMessage returns, so it must not wait
	// for the peer. OnMessage may keep the message. The first call may come before the
	// function that makes the session returns. nil means that messages are ignored.
	OnMessage func(message []byte)

	// Greeting is what the peer has said of itself while the carrier connected, if the muxer
	// is a [Greeter] and the peer has this end's greeting too. nil means that the ends greet
	// each other on the connection.
	Greeting []byte

	// OnExhausting is called once, when this end has opened nearly as many streams as the
	// protocol has ids: another session should take over. At least a million streams can
	// still be opened; then Open fails with [ErrGoAway]. The call runs in its own
	// goroutine, and the session's Close waits for it. nil means that only Open reports
	// it. A protocol with 2⁶⁰ ids need not count them.
	OnExhausting func()
}

// WithDefaults returns c with every zero field replaced by its default.
func (c Config) WithDefaults() Config {
	c.MaxStreams = cmp.Or(c.MaxStreams, 16384)
	if c.AcceptBacklog = cmp.Or(c.AcceptBacklog, 256); c.AcceptBacklog < 0 {
		c.AcceptBacklog = max(c.MaxStreams, 16384)
	}
	c.Window = min(max(c.Window, 256<<10), 1<<29)
	c.MaxWindow = min(max(cmp.Or(c.MaxWindow, 16<<20), c.Window), 1<<29)
	if c.ReceiveBuffer = cmp.Or(c.ReceiveBuffer, 64<<20); c.ReceiveBuffer < 0 {
		c.ReceiveBuffer = int(min(int64(1)<<40, math.MaxInt)) // its quarters are added up
	}
	c.KeepAlive = cmp.Or(c.KeepAlive, 15*time.Second)
	if c.KeepAliveTimeout = cmp.Or(c.KeepAliveTimeout, 15*time.Second); c.KeepAliveTimeout < 0 || c.KeepAliveTimeout > c.KeepAlive {
		c.KeepAliveTimeout = c.KeepAlive
	}
	c.Linger = cmp.Or(c.Linger, 3*time.Second)
	return c
}

// A Session is one end of a multiplexed connection. Multiple goroutines may call its
// methods at the same time.
type Session interface {
	// Open opens a stream. It waits for the peer only if too many streams wait to be
	// accepted there. ctx bounds the call, not the stream.
	Open(ctx context.Context) (Stream, error)

	// Accept waits for a stream that the peer opens. ctx bounds the call, not the stream.
	Accept(ctx context.Context) (Stream, error)

	// Send sends a message of at most [MaxMessage] bytes outside all streams, and does not
	// wait. The peer's [Config.OnMessage] gets it. Messages arrive in order, even if the
	// session is closed right after, but in no fixed order relative to streams. A peer
	// that does not know messages ignores it. Send fails if the session has ended, if the
	// peer cannot get messages, or if the peer takes so little that too many messages wait
	// already.
	Send(message []byte) error

	// Ping asks the peer for a sign of life. It waits for one, or until ctx or the session
	// ends. It cannot tell a peer whose library does not answer from a dead one.
	Ping(ctx context.Context) error

	// RoundTrip is how long the peer took to give its latest answer. It is 0 until the
	// first one. A session measures it without a Ping too, at least once in two
	// [Config.KeepAlive], so RoundTrip follows a path that changes.
	RoundTrip() time.Duration

	// Streams is the number of streams in use: opened or accepted on this end, and not yet
	// closed by their user.
	Streams() int

	// Shutdown stops opening and accepting streams, waits until the user has closed every
	// stream in use, then closes the session. If ctx ends first, Shutdown closes the
	// session at once and returns ctx's error.
	Shutdown(ctx context.Context) error

	// Close ends the session and its streams, and wakes everything blocked on them. It
	// waits until the peer has what was written, for [Config.Linger] at most, and for the
	// session's goroutines.
	Close() error

	// Context is cancelled when the session has ended. [context.Cause] then says why: it
	// matches [net.ErrClosed] after Close on this end, and [ErrSessionEnded] otherwise.
	Context() context.Context
}

// A Stream is one bidirectional, ordered and reliable sequence of bytes.
//
// Some streams also implement [WriterTo], [Checker] or [CodeResetter]. Callers use a type
// assertion to find out, so a wrapper of a Stream implements exactly those that the
// Stream implements.
type Stream interface {
	// Write returns when the connection has taken p, if no other data was queued before
	// it, and otherwise when p is in a queue of bounded length. Concurrent Writes take
	// turns: none interrupts another.
	//
	// Close ends both directions. What was written still arrives. What the peer still
	// sends is discarded, and its writes fail.
	//
	// Close waits until the connection has taken what was written and the end of the
	// stream, or has been stuck for [Config.Linger]: see [ErrUnsent]. It does not wait for
	// the end of the stream if the peer has answered, that is, has sent data after
	// everything written had left. The end then follows by itself; CloseWrite before Close
	// waits for it. In all other cases Close returns nil, whatever became of the stream.
	net.Conn

	// CloseWrite tells the peer that nothing more follows: the peer's Read returns
	// [io.EOF] after the rest. This end can still read. CloseWrite waits as Close does,
	// but always for the end of the stream too, and never past the write deadline. A
	// second call waits again. Its error matches [net.ErrClosed] after Close or Reset on
	// this end, and [ErrSessionEnded] if the session ended otherwise. It is nil if the
	// peer has closed or reset the stream, since the peer then waits for nothing.
	CloseWrite() error

	// Reset gives the stream up. It ends both directions at once, and the peer cannot
	// mistake that for an orderly end: its Read and Write fail with an error that matches
	// [ErrReset], Read perhaps after some of what had arrived. What was written and has
	// not arrived may be lost, and what the peer still sends is discarded. A direction
	// that CloseWrite has ended stays complete for a peer that has read all of it, and may
	// be reset otherwise.
	//
	// On this end the stream is closed: calls fail with [net.ErrClosed], including those
	// that block. Reset costs no round trip and waits for nothing. It may be repeated.
	// Close after Reset does nothing, and neither does Reset after Close, so a deferred
	// Reset gives up a stream only if it was not closed.
	//
	// A peer of another library sees whatever its protocol has for a reset: see the
	// implementation's package. A protocol with codes provides a [CodeResetter].
	Reset() error
}

// A WriterTo is a [Stream] that writes out what it has received without a buffer from the
// reader, so waiting for data takes almost no memory. [io.Copy] uses it.
type WriterTo interface {
	Stream

	// WriteTo writes what arrives to w until the peer has finished the stream, and then
	// returns nil. If Read would fail, for instance at a deadline, WriteTo returns that
	// error. It writes to w without holding a lock, and Close, Reset and deadlines of this
	// end do not interrupt w. The peer may send more once w has taken what it was given.
	// If w fails, WriteTo returns w's error, and what w has not taken may be lost.
	WriteTo(w io.Writer) (n int64, err error)
}
