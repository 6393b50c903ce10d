package main

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

// brief is a soak of a few seconds in which everything happens.
func brief(t *testing.T) options {
	t.Helper()
	o := defaults()
	o.clients = 27
	o.duration = 4 * time.Second
	o.pause = 50 * time.Millisecond
	o.every, o.fault = time.Second, 500*time.Millisecond
	o.keepAlive = 500 * time.Millisecond
	o.backoff = transport.Backoff{Min: 50 * time.Millisecond, Max: 500 * time.Millisecond}
	o.uptime, o.crashes, o.spread = 2*time.Second, 0.5, 200*time.Millisecond
	return checked(t, o)
}

// checked returns o. The process must have enough descriptors for it.
func checked(t *testing.T, o options) options {
	t.Helper()
	err := o.check()
	switch {
	case o.checkDescriptors(descriptors()) != nil:
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	return o
}

// soaked runs a soak, and returns its output and the violations.
func soaked(t *testing.T, o options) (string, error) {
	t.Helper()
	var out strings.Builder
	err := soak(t.Context(), o, &out, &progress{out: t.Output(), began: time.Now()})
	return out.String(), err
}

func TestSoak(t *testing.T) {
	leak.Check(t)
	o := brief(t)
	if !long.Asked() {
		o.duration = time.Second
	}
	out, err := soaked(t, o)
	t.Log(out)
	if err != nil {
		t.Error(err)
	}
	for _, s := range o.stacks {
		if !strings.Contains(out, s.name) {
			t.Errorf("there is no %s", s.name)
		}
	}
}

// TestInterrupt interrupts a long soak.
func TestInterrupt(t *testing.T) {
	leak.Check(t)
	o := brief(t)
	o.stacks = o.stacks[:2]
	o.clients, o.duration = 4, time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var out strings.Builder
	if err := soak(ctx, o, &out, new(progress)); err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.String(), "all is closed") {
		t.Errorf("no tables in %q", out.String())
	}
}

// TestPlanted checks that violations are seen.
func TestPlanted(t *testing.T) {
	long.Only(t)
	for name, test := range map[string]struct {
		plant   func(*testing.T) plant
		carrier carrier.Carrier
		faults  string
		text    string
	}{
		"AnswersTwice": {
			plant: func(*testing.T) plant {
				return plant{accepted: func(st mux.Stream) mux.Stream {
					if rand.N(10) > 0 {
						return st
					}
					return stuttering{st}
				}}
			},
			text: "brought something that was not sent",
		},
		"LostIsEnd": {
			plant: func(*testing.T) plant {
				return plant{accepted: func(st mux.Stream) mux.Stream { return truncating{st} }}
			},
			faults: "reset",
			text:   "ended early, without an error",
		},
		"Leaking": {
			plant: func(t *testing.T) plant {
				ctx, cancel := context.WithCancel(context.Background())
				var leaked sync.WaitGroup
				t.Cleanup(func() { cancel(); leaked.Wait() })
				return plant{accepted: func(st mux.Stream) mux.Stream {
					leaked.Go(func() { <-ctx.Done() })
					return st
				}}
			},
			text: "goroutines, after",
		},
		"GivesUp": {
			carrier: &once{Carrier: ws.New()},
			faults:  "reset",
			text:    "not back",
		},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			o := brief(t)
			o.clients, o.duration, o.uptime, o.slack = 4, 2*time.Second, 0, time.Second
			if test.faults != "" {
				o.every, o.fault, o.pause = 100*time.Millisecond, 50*time.Millisecond, time.Millisecond
				o.faults, _ = faultsNamed(test.faults)
			}
			o.stacks = o.stacks[:1]
			if test.carrier != nil {
				o.stacks[0].carrier = test.carrier
			}
			if test.plant != nil {
				planted := test.plant(t)
				planted.Muxer = o.stacks[0].muxer
				o.stacks[0].muxer = planted
			}
			out, err := soaked(t, o)
			if err == nil || !strings.Contains(err.Error(), test.text) {
				t.Errorf("error %v, want one with %q; %s", err, test.text, out)
			}
		})
	}
}

// A plant is a muxer that does something wrong.
type plant struct {
	mux.Muxer
	accepted func(mux.Stream) mux.Stream
}

func (p plant) ListenSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	s, err := p.Muxer.ListenSide(conn, config)
	if err != nil {
		return s, err
	}
	return accepting{s, p.accepted}, nil
}

type accepting struct {
	mux.Session
	wrap func(mux.Stream) mux.Stream
}

func (s accepting) Accept(ctx context.Context) (mux.Stream, error) {
	st, err := s.Session.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return s.wrap(st), nil
}

// A once carrier is rejected when it dials again.
type once struct {
	carrier.Carrier
	dialled atomic.Int64
}

func (c *once) Dial(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
	if c.dialled.Add(1) > 4 { // there are so many clients
		return nil, &carrier.RejectedError{StatusCode: http.StatusForbidden}
	}
	return c.Carrier.Dial(ctx, r)
}

// A stuttering stream writes everything twice.
type stuttering struct{ mux.Stream }

func (s stuttering) Write(p []byte) (int, error) {
	s.Stream.Write(p)
	return s.Stream.Write(p)
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
