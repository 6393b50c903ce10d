package muxtest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/mux"
	. "github.com/backdial/backdial/mux/muxtest"
	"github.com/backdial/backdial/mux/yamuxmux"
)

// A fault is a mistake in a muxer, and the promises that it breaks.
type fault struct {
	name   string
	muxer  mux.Muxer
	breaks []Promise // nil if the suite passes
	only   Promise   // the one that is tested, if not all
	says   string    // part of what the suite prints
}

var faults = []fault{{
	name:  "None",
	muxer: streams(func(_ mux.Session, st mux.Stream) mux.Stream { return st }),
}, {
	name:   "LostIsEnd",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return lostIsEnd{st} }),
	breaks: []Promise{EOFOnlyAfterEnd, DeadPeer},
}, {
	name:   "LostDropsArrived",
	muxer:  sides{dial: sound, listen: streams(func(s mux.Session, st mux.Stream) mux.Stream { return hasty{st, s} })},
	breaks: []Promise{WrittenArrives},
}, {
	name:   "LostDropsUnaccepted",
	muxer:  sessions(func(s mux.Session) mux.Session { return forgetful{s} }),
	breaks: []Promise{WrittenArrives},
}, {
	name: "CloseDropsQueue",
	muxer: faulty(func(sound start) start {
		return func(conn net.Conn, config mux.Config) (mux.Session, error) {
			c := &mutable{halfCloser: conn.(halfCloser)}
			s, err := sound(c, config)
			return muting{s, c}, err
		}
	}),
	breaks: []Promise{WrittenArrives},
}, {
	name:   "CloseWriteDropsTail",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return &tailless{Stream: st} }),
	breaks: []Promise{HalfClose, HostileInput, WrittenArrives},
}, {
	name:   "CloseWriteCloses",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return closeWriteCloses{st} }),
	breaks: []Promise{HalfClose, Shutdown, StreamLimits},
}, {
	name:   "CloseWriteEndsCredit",
	muxer:  streams(func(s mux.Session, st mux.Stream) mux.Stream { return &uncredited{Stream: st, s: s} }),
	breaks: []Promise{HalfClose},
}, {
	name:   "DeadlineIgnored",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return timeless{st} }),
	breaks: []Promise{MovedDeadline},
	only:   MovedDeadline, // others set deadlines too, and NetConn waits for minutes
}, {
	name:   "DeadlineOfNextCall",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return &nextCall{Stream: st} }),
	breaks: []Promise{MovedDeadline},
}, {
	name:   "DeadlineOnlyMovesUp",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return earliest{st} }),
	breaks: []Promise{MovedDeadline},
	only:   MovedDeadline, // in others it is a matter of time
}, {
	name:   "DeadlineIsForEver",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return &expired{Stream: st} }),
	breaks: []Promise{MovedDeadline, NetConn},
}, {
	name: "DeadlineWaitsForCarrier",
	muxer: faulty(func(sound start) start {
		return func(conn net.Conn, config mux.Config) (mux.Session, error) {
			c := &locking{halfCloser: conn.(halfCloser)}
			return streams(func(_ mux.Session, st mux.Stream) mux.Stream { return locked{st, c} })(sound)(c, config)
		}
	}),
	breaks: []Promise{MovedDeadline},
}, {
	name:   "DeadlineHasNoName",
	muxer:  mistaking(os.ErrDeadlineExceeded, errors.ErrUnsupported),
	breaks: []Promise{NetConn, MovedDeadline},
}, {
	name:   "ClosedHasNoName",
	muxer:  mistaking(net.ErrClosed, errors.ErrUnsupported),
	breaks: []Promise{CloseWakes, Errors, Shutdown},
}, {
	name:   "SessionEndedHasNoName",
	muxer:  mistaking(mux.ErrSessionEnded, errors.ErrUnsupported),
	breaks: []Promise{DeadPeer, EOFOnlyAfterEnd, Errors, WriteEnds},
}, {
	name:   "ResetIsGoAway",
	muxer:  mistaking(mux.ErrReset, mux.ErrGoAway),
	breaks: []Promise{BoundedMemory, StreamLimits, WriteEnds},
}, {
	name: "ViolationHasNoName",
	muxer: recaused(func(cause error) error {
		if errors.Is(cause, mux.ErrProtocol) {
			return fmt.Errorf("%w: %v", mux.ErrSessionEnded, cause)
		}
		return cause
	}),
	breaks: []Promise{HostileInput},
	only:   HostileInput, // nobody else breaks the protocol
}, {
	name: "ViolationEndsNothing",
	muxer: recaused(func(cause error) error {
		if errors.Is(cause, mux.ErrProtocol) {
			return nil
		}
		return cause
	}),
	breaks: []Promise{HostileInput},
	only:   HostileInput, // nobody else breaks the protocol
}, {
	name: "SessionsStayInMemory",
	muxer: sessions(func(s mux.Session) mux.Session {
		kept.Lock()
		defer kept.Unlock()
		kept.memory = append(kept.memory, make([]byte, 100<<10))
		return s
	}),
	breaks: []Promise{HostileInput},
	only:   HostileInput, // nobody else makes so many
}, {
	name:   "AcceptWaitsForData",
	muxer:  sessions(func(s mux.Session) mux.Session { return patient{s} }),
	breaks: []Promise{OpenIsImmediate},
	only:   OpenIsImmediate, // others open streams and write nothing, too
}, {
	name: "OpenWaitsForCarrier",
	muxer: faulty(func(sound start) start {
		return func(conn net.Conn, config mux.Config) (mux.Session, error) {
			c := &signalling{halfCloser: conn.(halfCloser), written: make(chan struct{}, 1)}
			s, err := sound(c, config)
			return flushing{s, c}, err
		}
	}),
	breaks: []Promise{CloseWakes, OpenIsImmediate},
}, {
	name:   "OpenIgnoresContext",
	muxer:  sessions(func(s mux.Session) mux.Session { return stubborn{s} }),
	breaks: []Promise{OpenEndsWithContext},
}, {
	name:   "StreamEndsWithContext",
	muxer:  sessions(func(s mux.Session) mux.Session { return shortLived{s} }),
	breaks: []Promise{OpenEndsWithContext},
	only:   OpenEndsWithContext, // others cancel the contexts of their streams, too
}, {
	name: "SessionHasOneWindow",
	muxer: faulty(func(sound start) start {
		return func(conn net.Conn, config mux.Config) (mux.Session, error) {
			c := &oneWindow{halfCloser: conn.(halfCloser)}
			c.room.L = &c.mu
			return streams(func(_ mux.Session, st mux.Stream) mux.Stream { return windowed{st, c} })(sound)(c, config)
		}
	}),
	breaks: []Promise{StalledStreams},
}, {
	name:   "ReceiveBufferTooSmall",
	muxer:  configs(func(c *mux.Config) { c.ReceiveBuffer = min(c.WithDefaults().ReceiveBuffer, 8<<20) }),
	breaks: []Promise{StalledStreams},
}, {
	name:   "ReceiveBufferIgnored",
	muxer:  receiveBufferIgnored,
	breaks: []Promise{BoundedMemory},
}, {
	name:   "MaxStreamsIgnored",
	muxer:  configs(func(c *mux.Config) { c.MaxStreams = 0 }),
	breaks: []Promise{StreamLimits},
}, {
	name:   "AcceptBacklogIgnored",
	muxer:  configs(func(c *mux.Config) { c.AcceptBacklog = 0 }),
	breaks: []Promise{CloseWakes, OpenEndsWithContext, StreamLimits},
}, {
	name:   "RefusalEndsSession",
	muxer:  streams(func(s mux.Session, st mux.Stream) mux.Stream { return offended{st, s} }),
	breaks: []Promise{StreamLimits},
}, {
	name:   "WriteNeverFails",
	muxer:  streams(func(s mux.Session, st mux.Stream) mux.Stream { return hopeful{st, s} }),
	breaks: []Promise{BoundedMemory, WriteEnds},
}, {
	name:   "AcceptSleepsOn",
	muxer:  sides{dial: sessions(func(s mux.Session) mux.Session { return &sleeper{Session: s} }), listen: sound},
	breaks: []Promise{CloseWakes},
}, {
	name:   "SecondCloseFails",
	muxer:  sessions(func(s mux.Session) mux.Session { return &closeOnce{Session: s} }),
	breaks: []Promise{CloseWakes},
	only:   CloseWakes, // nobody else looks
}, {
	name:   "SecondStreamCloseFails",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return &streamCloseOnce{Stream: st} }),
	breaks: []Promise{CloseWakes},
	only:   CloseWakes, // nobody else looks
}, {
	name: "GoroutineLeaks",
	muxer: sessions(func(s mux.Session) mux.Session {
		go leak(make(chan struct{}))
		return s
	}),
	breaks: []Promise{CloseWakes},
	only:   CloseWakes, // all leak
	says:   "muxtest_test.leak(",
}, {
	name:   "KeepAliveOff",
	muxer:  configs(func(c *mux.Config) { c.KeepAlive = -1 }),
	breaks: []Promise{DeadPeer, WriteEnds},
}, {
	name: "IdleIsDead",
	muxer: faulty(func(sound start) start {
		return func(conn net.Conn, config mux.Config) (mux.Session, error) {
			if d := config.WithDefaults().KeepAlive; d > 0 {
				time.AfterFunc(3*d, func() { conn.Close() })
			}
			return sound(conn, config)
		}
	}),
	breaks: []Promise{DeadPeer},
}, {
	name:   "ShutdownCloses",
	muxer:  sessions(func(s mux.Session) mux.Session { return impolite{s} }),
	breaks: []Promise{Shutdown},
}, {
	name:   "ShutdownIgnoresContext",
	muxer:  sessions(func(s mux.Session) mux.Session { return tooPolite{s} }),
	breaks: []Promise{EOFOnlyAfterEnd, Shutdown},
}}

var receiveBufferIgnored = configs(func(c *mux.Config) { c.ReceiveBuffer = 0 })

// sound is the muxer in which the faults are planted.
var sound mux.Muxer = yamuxmux.New()

// A start function starts one end of a session.
type start func(net.Conn, mux.Config) (mux.Session, error)

// faulty plants a fault in both ends of sound's sessions.
type faulty func(sound start) start

func (faulty) Name() string     { return "faulty" }
func (faulty) Protocol() string { return "faulty.v1" }

func (f faulty) DialSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	return f(sound.DialSide)(conn, config)
}

func (f faulty) ListenSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	return f(sound.ListenSide)(conn, config)
}

// sides is another muxer on either end.
type sides struct{ dial, listen mux.Muxer }

func (sides) Name() string     { return "faulty" }
func (sides) Protocol() string { return "faulty.v1" }

func (m sides) DialSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	return m.dial.DialSide(conn, config)
}

func (m sides) ListenSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	return m.listen.ListenSide(conn, config)
}

// configs has the fault in the limits.
func configs(change func(*mux.Config)) faulty {
	return func(sound start) start {
		return func(conn net.Conn, config mux.Config) (mux.Session, error) {
			change(&config)
			return sound(conn, config)
		}
	}
}

// sessions has the fault in what wrap adds to a session.
func sessions(wrap func(mux.Session) mux.Session) faulty {
	return func(sound start) start {
		return func(conn net.Conn, config mux.Config) (mux.Session, error) {
			s, err := sound(conn, config)
			if err != nil {
				return nil, err
			}
			return wrap(s), nil
		}
	}
}

// streams has the fault in what wrap adds to a stream.
func streams(wrap func(mux.Session, mux.Stream) mux.Stream) faulty {
	return sessions(func(s mux.Session) mux.Session { return wrapping{s, wrap} })
}

type wrapping struct {
	mux.Session
	wrap func(mux.Session, mux.Stream) mux.Stream
}

func (s wrapping) Open(ctx context.Context) (mux.Stream, error) {
	return s.wrapped(s.Session.Open(ctx))
}

func (s wrapping) Accept() (mux.Stream, error) {
	return s.wrapped(s.Session.Accept())
}

func (s wrapping) wrapped(st mux.Stream, err error) (mux.Stream, error) {
	if err != nil {
		return nil, err
	}
	return s.wrap(s.Session, st), nil
}

// A halfCloser is what the suite runs sessions on.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

type lostIsEnd struct{ mux.Stream }

func (st lostIsEnd) Read(p []byte) (int, error) {
	n, err := st.Stream.Read(p)
	if errors.Is(err, mux.ErrSessionEnded) {
		err = io.EOF
	}
	return n, err
}

// hasty fails at once when the session is over.
type hasty struct {
	mux.Stream
	s mux.Session
}

func (st hasty) Read(p []byte) (int, error) {
	if err := context.Cause(st.s.Context()); err != nil {
		return 0, err
	}
	return st.Stream.Read(p)
}

// forgetful accepts nothing when the session is over.
type forgetful struct{ mux.Session }

func (s forgetful) Accept() (mux.Stream, error) {
	st, err := s.Session.Accept()
	if err == nil && s.Context().Err() != nil {
		return nil, context.Cause(s.Context())
	}
	return st, err
}

// mutable throws away what is written once it is muted.
type mutable struct {
	halfCloser
	muted atomic.Bool
}

func (c *mutable) Write(p []byte) (int, error) {
	if c.muted.Load() {
		return len(p), nil
	}
	return c.halfCloser.Write(p)
}

type muting struct {
	mux.Session
	c *mutable
}

func (s muting) Close() error {
	s.c.muted.Store(true)
	return s.Session.Close()
}

// tailless keeps the last byte of a large write for the next, and forgets it
// when there is none.
type tailless struct {
	mux.Stream

	mu   sync.Mutex // guards below
	held []byte
}

func (st *tailless) Write(p []byte) (int, error) {
	st.mu.Lock()
	all := slices.Concat(st.held, p)
	end := len(all)
	if end > 128<<10 {
		end--
	}
	st.held = all[end:]
	st.mu.Unlock()
	if n, err := st.Stream.Write(all[:end]); err != nil {
		return n, err
	}
	return len(p), nil
}

type closeWriteCloses struct{ mux.Stream }

func (st closeWriteCloses) CloseWrite() error { return st.Close() }

// uncredited lets the peer send no more than a window after CloseWrite.
type uncredited struct {
	mux.Stream
	s mux.Session

	ended atomic.Bool
	read  atomic.Int64
}

func (st *uncredited) CloseWrite() error {
	st.ended.Store(true)
	return st.Stream.CloseWrite()
}

func (st *uncredited) Read(p []byte) (int, error) {
	if st.ended.Load() && st.read.Load() > 256<<10 {
		<-st.s.Context().Done()
		return 0, context.Cause(st.s.Context())
	}
	n, err := st.Stream.Read(p)
	st.read.Add(int64(n))
	return n, err
}

type timeless struct{ mux.Stream }

func (timeless) SetDeadline(time.Time) error      { return nil }
func (timeless) SetReadDeadline(time.Time) error  { return nil }
func (timeless) SetWriteDeadline(time.Time) error { return nil }

// nextCall heeds a deadline in the future from the next call on.
type nextCall struct {
	mux.Stream
	read, write atomic.Pointer[time.Time]
}

func (st *nextCall) SetDeadline(at time.Time) error {
	return errors.Join(st.SetReadDeadline(at), st.SetWriteDeadline(at))
}

func (st *nextCall) SetReadDeadline(at time.Time) error {
	st.read.Store(&at)
	if time.Until(at) > 0 {
		return nil
	}
	return st.Stream.SetReadDeadline(at)
}

func (st *nextCall) SetWriteDeadline(at time.Time) error {
	st.write.Store(&at)
	if time.Until(at) > 0 {
		return nil
	}
	return st.Stream.SetWriteDeadline(at)
}

func (st *nextCall) Read(p []byte) (int, error) {
	if at := st.read.Load(); at != nil {
		st.Stream.SetReadDeadline(*at)
	}
	return st.Stream.Read(p)
}

func (st *nextCall) Write(p []byte) (int, error) {
	if at := st.write.Load(); at != nil {
		st.Stream.SetWriteDeadline(*at)
	}
	return st.Stream.Write(p)
}

// earliest forgets to stop the timer of the last deadline.
type earliest struct{ mux.Stream }

func (st earliest) SetReadDeadline(at time.Time) error {
	if wait := time.Until(at); wait > 0 {
		time.AfterFunc(wait, func() { st.Stream.SetReadDeadline(time.Unix(1, 0)) })
	}
	return st.Stream.SetReadDeadline(at)
}

// expired is of no use after a deadline.
type expired struct {
	mux.Stream
	err atomic.Pointer[error]
}

func (st *expired) Read(p []byte) (int, error) {
	if err := st.err.Load(); err != nil {
		return 0, *err
	}
	n, err := st.Stream.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		st.err.Store(&err)
	}
	return n, err
}

// locking is locked while it writes.
type locking struct {
	halfCloser
	writing sync.Mutex
}

func (c *locking) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.halfCloser.Write(p)
}

// locked takes the connection's lock to set a deadline.
type locked struct {
	mux.Stream
	c *locking
}

func (st locked) SetReadDeadline(at time.Time) error {
	st.c.writing.Lock()
	defer st.c.writing.Unlock()
	return st.Stream.SetReadDeadline(at)
}

func (st locked) SetWriteDeadline(at time.Time) error {
	st.c.writing.Lock()
	defer st.c.writing.Unlock()
	return st.Stream.SetWriteDeadline(at)
}

// mistaking returns errors that match other instead of target.
func mistaking(target, other error) faulty {
	mistake := func(err error) error {
		if errors.Is(err, target) {
			return fmt.Errorf("%w: %v", other, err)
		}
		return err
	}
	return func(sound start) start {
		s := sessions(func(s mux.Session) mux.Session { return mistaken{s, mistake} })(sound)
		return streams(func(_ mux.Session, st mux.Stream) mux.Stream { return mistakenStream{st, mistake} })(s)
	}
}

type mistaken struct {
	mux.Session
	mistake func(error) error
}

func (s mistaken) Open(ctx context.Context) (mux.Stream, error) {
	st, err := s.Session.Open(ctx)
	return st, s.mistake(err)
}

func (s mistaken) Accept() (mux.Stream, error) {
	st, err := s.Session.Accept()
	return st, s.mistake(err)
}

type mistakenStream struct {
	mux.Stream
	mistake func(error) error
}

func (st mistakenStream) Read(p []byte) (int, error) {
	n, err := st.Stream.Read(p)
	return n, st.mistake(err)
}

func (st mistakenStream) Write(p []byte) (int, error) {
	n, err := st.Stream.Write(p)
	return n, st.mistake(err)
}

// recaused makes sessions that end for another reason, or that do not end for
// all one knows if there is none.
func recaused(reason func(cause error) error) faulty {
	return sessions(func(s mux.Session) mux.Session {
		ctx, cancel := context.WithCancelCause(context.Background())
		context.AfterFunc(s.Context(), func() {
			if err := reason(context.Cause(s.Context())); err != nil {
				cancel(err)
			}
		})
		return inContext{s, ctx}
	})
}

type inContext struct {
	mux.Session
	ctx context.Context
}

func (s inContext) Context() context.Context { return s.ctx }

// kept is what sessions leave in memory.
var kept struct {
	sync.Mutex
	memory [][]byte
}

// patient returns a stream from Accept when it has read something from it.
type patient struct{ mux.Session }

func (s patient) Accept() (mux.Stream, error) {
	st, err := s.Session.Accept()
	if err != nil {
		return nil, err
	}
	first := make([]byte, 1)
	n, _ := st.Read(first)
	return prefixed{st, io.MultiReader(bytes.NewReader(first[:n]), st)}, nil
}

type prefixed struct {
	mux.Stream
	all io.Reader
}

func (st prefixed) Read(p []byte) (int, error) { return st.all.Read(p) }

// signalling says when it has written.
type signalling struct {
	halfCloser
	written chan struct{}
}

func (c *signalling) Write(p []byte) (int, error) {
	n, err := c.halfCloser.Write(p)
	select {
	case c.written <- struct{}{}:
	default:
	}
	return n, err
}

// flushing waits in Open until something has been written.
type flushing struct {
	mux.Session
	c *signalling
}

func (s flushing) Open(ctx context.Context) (mux.Stream, error) {
	select {
	case <-s.c.written:
	default:
	}
	st, err := s.Session.Open(ctx)
	if err != nil {
		return nil, err
	}
	select {
	case <-s.c.written:
		return st, nil
	case <-s.Context().Done():
		return nil, context.Cause(s.Context())
	case <-ctx.Done():
		st.Close()
		return nil, ctx.Err()
	}
}

type stubborn struct{ mux.Session }

func (s stubborn) Open(ctx context.Context) (mux.Stream, error) {
	return s.Session.Open(context.WithoutCancel(ctx))
}

type shortLived struct{ mux.Session }

func (s shortLived) Open(ctx context.Context) (mux.Stream, error) {
	st, err := s.Session.Open(ctx)
	if err == nil {
		context.AfterFunc(ctx, func() { st.Close() })
	}
	return st, err
}

// oneWindow reads no further while its streams hold too much.
type oneWindow struct {
	halfCloser

	mu     sync.Mutex // guards below
	room   sync.Cond
	unread int
	closed bool
}

func (c *oneWindow) Read(p []byte) (int, error) {
	c.mu.Lock()
	for c.unread > 8<<20 && !c.closed {
		c.room.Wait()
	}
	c.mu.Unlock()
	n, err := c.halfCloser.Read(p)
	c.add(n)
	return n, err
}

func (c *oneWindow) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unread += n
	c.room.Broadcast()
}

func (c *oneWindow) Close() error {
	c.mu.Lock()
	c.closed = true
	c.room.Broadcast()
	c.mu.Unlock()
	return c.halfCloser.Close()
}

type windowed struct {
	mux.Stream
	c *oneWindow
}

func (st windowed) Read(p []byte) (int, error) {
	n, err := st.Stream.Read(p)
	st.c.add(-n)
	return n, err
}

// offended closes the session when the peer resets a stream.
type offended struct {
	mux.Stream
	s mux.Session
}

func (st offended) Read(p []byte) (int, error) {
	n, err := st.Stream.Read(p)
	if errors.Is(err, mux.ErrReset) {
		st.s.Close()
	}
	return n, err
}

// hopeful keeps a Write that failed waiting for as long as the session lives.
type hopeful struct {
	mux.Stream
	s mux.Session
}

func (st hopeful) Write(p []byte) (int, error) {
	n, err := st.Stream.Write(p)
	if errors.Is(err, mux.ErrReset) {
		<-st.s.Context().Done()
	}
	return n, err
}

// sleeper does not notice Close while it accepts.
type sleeper struct {
	mux.Session
	closed atomic.Bool
}

func (s *sleeper) Accept() (mux.Stream, error) {
	asleep := !s.closed.Load()
	st, err := s.Session.Accept()
	if asleep && errors.Is(err, net.ErrClosed) {
		select {}
	}
	return st, err
}

func (s *sleeper) Close() error {
	s.closed.Store(true)
	return s.Session.Close()
}

type closeOnce struct {
	mux.Session
	closed atomic.Bool
}

func (s *closeOnce) Close() error {
	if s.closed.Swap(true) {
		return net.ErrClosed
	}
	return s.Session.Close()
}

type streamCloseOnce struct {
	mux.Stream
	closed atomic.Bool
}

func (st *streamCloseOnce) Close() error {
	if st.closed.Swap(true) {
		return net.ErrClosed
	}
	return st.Stream.Close()
}

func leak(forEver chan struct{}) { <-forEver }

// impolite does not wait for streams in use.
type impolite struct{ mux.Session }

func (s impolite) Shutdown(ctx context.Context) error {
	s.Close()
	return ctx.Err()
}

// tooPolite waits for them whatever happens.
type tooPolite struct{ mux.Session }

func (s tooPolite) Shutdown(ctx context.Context) error {
	return s.Session.Shutdown(context.WithoutCancel(ctx))
}
