package muxtest_test

import (
	"context"
	"io"
	"net"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/yamuxmux"
)

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

// based plants a fault in another muxer.
type based struct {
	faulty
	base mux.Muxer
}

func (m based) DialSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	return m.faulty(m.base.DialSide)(conn, config)
}

func (m based) ListenSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	return m.faulty(m.base.ListenSide)(conn, config)
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

// configs plants the fault in the limits.
func configs(change func(*mux.Config)) faulty {
	return func(sound start) start {
		return func(conn net.Conn, config mux.Config) (mux.Session, error) {
			change(&config)
			return sound(conn, config)
		}
	}
}

// sessions plants the fault in what wrap adds to a session.
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

// streams plants the fault in what wrap adds to a stream.
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

func (s wrapping) Accept(ctx context.Context) (mux.Stream, error) {
	return s.wrapped(s.Session.Accept(ctx))
}

func (s wrapping) wrapped(st mux.Stream, err error) (mux.Stream, error) {
	if err != nil {
		return nil, err
	}
	return powered{s.wrap(s.Session, st), st}, nil
}

// powered has the optional interfaces of yamux's streams, even if a fault does not
// implement them.
type powered struct {
	mux.Stream
	sound mux.Stream
}

func (st powered) WriteTo(w io.Writer) (int64, error) {
	if writerTo, ok := st.Stream.(mux.WriterTo); ok {
		return writerTo.WriteTo(w)
	}
	return io.Copy(writerFunc(w.Write), plain{st.Stream}) // without a ReadFrom of w
}

func (st powered) Check() error {
	if checker, ok := st.Stream.(mux.Checker); ok {
		return checker.Check()
	}
	return st.sound.(mux.Checker).Check()
}

// A halfCloser is what the suite needs of a stream.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// bare plants the fault in what wrap returns for a stream. The suite sees nothing else of
// the stream.
func bare(wrap func(mux.Stream) mux.Stream) faulty {
	return sessions(func(s mux.Session) mux.Session { return baring{s, wrap} })
}

type baring struct {
	mux.Session
	wrap func(mux.Stream) mux.Stream
}

func (s baring) Open(ctx context.Context) (mux.Stream, error) {
	return s.wrapped(s.Session.Open(ctx))
}

func (s baring) Accept(ctx context.Context) (mux.Stream, error) {
	return s.wrapped(s.Session.Accept(ctx))
}

func (s baring) wrapped(st mux.Stream, err error) (mux.Stream, error) {
	if err != nil {
		return nil, err
	}
	return s.wrap(st), nil
}
