package faulttest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/suite"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport/faulttest"
	"github.com/backdial/backdial/transport/transporttest"
)

// opened counts streams: some faults are those of every fourth.
var opened atomic.Int64

// planted are stacks with something wrong, the faults that show it, and what the
// suite says of it then.
var planted = map[string]struct {
	carrier carrier.Carrier
	muxer   mux.Muxer
	by      []faulttest.Fault
	says    string
}{
	"LostIsEnd": {
		muxer: opening{yamuxmux.New(), func(_ mux.Session, st mux.Stream) mux.Stream { return truncating{st} }},
		by:    []faulttest.Fault{faulttest.Reset, faulttest.Finished, faulttest.Hole},
		says:  "ended early, without an error",
	},
	"SaysTwice": {
		muxer: opening{yamuxmux.New(), func(_ mux.Session, st mux.Stream) mux.Stream {
			if opened.Add(1)%4 > 0 {
				return st
			}
			return stuttering{st}
		}},
		by:   []faulttest.Fault{faulttest.Far},
		says: "brought something that was not sent",
	},
	"DeliversTwice": {
		muxer: opening{yamuxmux.New(), func(s mux.Session, st mux.Stream) mux.Stream { return &replaying{Stream: st, on: s} }},
		by:    []faulttest.Fault{faulttest.Far},
		says:  "delivered again",
	},
	"Deaf": {
		muxer: deaf{yamuxmux.New()},
		by:    []faulttest.Fault{faulttest.Hole},
		says:  "waiting for the end of the session on both sides",
	},
	"Leaking": {
		muxer: opening{yamuxmux.New(), func(_ mux.Session, st mux.Stream) mux.Stream {
			go func() { select {} }()
			return st
		}},
		by:   []faulttest.Fault{faulttest.Reset},
		says: "leak:",
	},
	"GivesUp": {
		carrier: &once{Carrier: ws.New()},
		by:      []faulttest.Fault{faulttest.Reset},
		says:    "waiting for an answer to a new request",
	},
}

// TestPlanted makes sure that the suite can fail, in a process of its own.
func TestPlanted(t *testing.T) {
	t.Parallel()
	for name, plant := range planted {
		t.Run(name, func(t *testing.T) {
			if os.Getenv(stackEnv) == name {
				s := faulttest.Stack{
					Stack:   transporttest.Stack{Target: carriertest.Target{Carrier: ws.New()}, Muxer: yamuxmux.New()},
					Network: "tcp",
				}
				if plant.carrier != nil {
					s.Carrier = plant.carrier
				}
				if plant.muxer != nil {
					s.Muxer = plant.muxer
				}
				faulttest.Test(t, s, plant.by...)
				return
			}
			t.Parallel()
			if passed, out := suite.Rerun(t, stackEnv+"="+name, leak.PatienceEnv+"=2s"); passed || !strings.Contains(out, plant.says) {
				t.Errorf("passed: %v; does not say %q:\n%s", passed, plant.says, out)
			}
		})
	}
}

// An opening muxer wraps the streams that it opens.
type opening struct {
	mux.Muxer
	wrap func(mux.Session, mux.Stream) mux.Stream
}

func (m opening) DialSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	s, err := m.Muxer.DialSide(conn, config)
	return openingSession{s, m}, err
}

type openingSession struct {
	mux.Session
	by opening
}

func (s openingSession) Open(ctx context.Context) (mux.Stream, error) {
	st, err := s.Session.Open(ctx)
	if err != nil {
		return nil, err
	}
	return s.by.wrap(s.Session, st), nil
}

// A truncating stream takes the loss of its session for its end.
type truncating struct{ mux.Stream }

func (s truncating) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	if errors.Is(err, mux.ErrSessionEnded) {
		err = io.EOF
	}
	return n, err
}

// A stuttering stream writes everything twice.
type stuttering struct{ mux.Stream }

func (s stuttering) Write(p []byte) (int, error) {
	s.Stream.Write(p)
	return s.Stream.Write(p)
}

// A replaying stream does it all again.
type replaying struct {
	mux.Stream
	on   mux.Session
	said bytes.Buffer
}

func (s *replaying) Write(p []byte) (int, error) {
	s.said.Write(p)
	return s.Stream.Write(p)
}

func (s *replaying) Close() error {
	if again, err := s.on.Open(context.Background()); err == nil {
		again.Write(s.said.Bytes())
		again.CloseWrite()
		io.Copy(io.Discard, again)
		again.Close()
	}
	return s.Stream.Close()
}

// A deaf muxer does not listen for signs of life.
type deaf struct{ mux.Muxer }

func (m deaf) DialSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	config.KeepAlive = -1
	return m.Muxer.DialSide(conn, config)
}

// A once carrier does not dial again.
type once struct {
	carrier.Carrier
	dialled atomic.Bool
}

func (c *once) Dial(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
	if c.dialled.Swap(true) {
		return nil, errors.New("not again")
	}
	return c.Carrier.Dial(ctx, r)
}
