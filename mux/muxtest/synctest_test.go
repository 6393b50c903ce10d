package muxtest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
)

// inBubbles runs test with every muxer, in a bubble of its own.
func inBubbles(t *testing.T, test func(t *testing.T, m mux.Muxer)) {
	for _, m := range []mux.Muxer{yamuxmux.New(), smuxmux.New(), qmux.New()} {
		t.Run(m.Name(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, m) })
		})
	}
}

// A silencer is a connection whose writes are lost once it is silent.
type silencer struct {
	net.Conn
	silent atomic.Bool
}

func (c *silencer) Write(p []byte) (int, error) {
	if c.silent.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// connect makes a session over a pipe. peer is the connection of the listen side.
func connect(t *testing.T, m mux.Muxer, config mux.Config) (dial, listen mux.Session, peer *silencer) {
	t.Helper()
	return connectBy(t, m, config, func(c net.Conn, _ int) net.Conn { return c })
}

// connectBy is connect over a pipe whose ends wrap replaces, that of the dial side first.
func connectBy(t *testing.T, m mux.Muxer, config mux.Config, wrap func(c net.Conn, side int) net.Conn) (dial, listen mux.Session, peer *silencer) {
	t.Helper()
	ours, theirs := net.Pipe()
	peer = &silencer{Conn: wrap(theirs, 1)}
	dial, err := m.DialSide(wrap(ours, 0), config)
	if err != nil {
		t.Fatal(err)
	}
	listen, err = m.ListenSide(peer, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		dial.Close()
		listen.Close()
	})
	return dial, listen, peer
}

// A peer that goes silent is noticed after the timeout at the earliest, and after the
// interval plus the timeout at the latest.
func TestSilenceIsNoticed(t *testing.T) {
	inBubbles(t, func(t *testing.T, m mux.Muxer) {
		limits := mux.Config{}.WithDefaults()
		least, most := limits.KeepAliveTimeout, limits.KeepAlive+limits.KeepAliveTimeout
		for _, after := range []time.Duration{
			0, 1, 15*time.Second - 1, 15*time.Second + 1, 22 * time.Second,
			30*time.Second - 1, 30*time.Second + 1, 3*time.Minute + time.Second,
		} {
			dial, _, peer := connect(t, m, mux.Config{})
			time.Sleep(after)
			synctest.Wait()
			if err := context.Cause(dial.Context()); err != nil {
				t.Fatalf("the session ended within %v, while the peer was there: %v", after, err)
			}
			peer.silent.Store(true)
			silence := time.Now()
			<-dial.Context().Done()
			if took := time.Since(silence); took < least || took > most {
				t.Errorf("silence after %v was noticed after %v, want %v to %v", after, took, least, most)
			}
			if err := context.Cause(dial.Context()); !errors.Is(err, mux.ErrSessionEnded) {
				t.Errorf("cause %v, want mux.ErrSessionEnded", err)
			}
		}
	})
}

// A peer that goes on sending, but reads nothing, is noticed in twice the time of a
// silent one, even if the connection takes everything that it does not read.
func TestDeafnessIsNoticed(t *testing.T) {
	inBubbles(t, func(t *testing.T, m mux.Muxer) {
		limits := mux.Config{}.WithDefaults()
		least, most := limits.KeepAlive+limits.KeepAliveTimeout, 2*(limits.KeepAlive+limits.KeepAliveTimeout)
		for _, after := range []time.Duration{15*time.Second - 1, 15*time.Second + 1, 22 * time.Second, 30*time.Second + 1} {
			ours, theirs := testnet.MemPair(t)
			dial, err := m.DialSide(ours, mux.Config{})
			if err != nil {
				t.Fatal(err)
			}
			over := make(chan struct{})
			listen, err := m.ListenSide(theirs, mux.Config{KeepAlive: -1, Linger: -1, OnMessage: func([]byte) { <-over }})
			if err != nil {
				t.Fatal(err)
			}
			st, err := dial.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			peer, err := listen.Accept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			go io.Copy(io.Discard, st)
			if err := dial.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(after)
			dial.Send([]byte("after which the peer reads no more"))
			deafness := time.Now()
			for dial.Context().Err() == nil && time.Since(deafness) < time.Hour {
				io.WriteString(peer, "x")
				time.Sleep(time.Second)
			}
			if took := time.Since(deafness); took < least || took > most+time.Second {
				t.Errorf("deafness after %v was noticed after %v, want %v to %v", after, took, least, most)
			}
			if err := context.Cause(dial.Context()); !errors.Is(err, mux.ErrSilent) {
				t.Errorf("cause %v, want mux.ErrSilent", err)
			}
			close(over)
			dial.Close()
			listen.Close()
		}
	})
}

// A peer that is alive keeps an idle session alive.
func TestIdleSessionLives(t *testing.T) {
	inBubbles(t, func(t *testing.T, m mux.Muxer) {
		dial, listen, _ := connect(t, m, mux.Config{})
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		for _, s := range []mux.Session{dial, listen} {
			if err := context.Cause(s.Context()); err != nil {
				t.Error("an idle session ended:", err)
			}
		}
		converse(t, dial, listen)
	})
}

// A counter is a connection that counts its writes.
type counter struct {
	net.Conn
	writes *atomic.Int64
}

func (c counter) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// One ping, and its answer, serve both ends of an idle session.
func TestIdleSessionIsQuiet(t *testing.T) {
	inBubbles(t, func(t *testing.T, m mux.Muxer) {
		var writes [2]atomic.Int64
		dial, listen, _ := connectBy(t, m, mux.Config{}, func(c net.Conn, side int) net.Conn {
			return counter{c, &writes[side]}
		})
		time.Sleep(time.Minute)
		for _, s := range []mux.Session{dial, listen} { // which could measure the path by now
			if s.RoundTrip() == 0 {
				t.Error("an end does not know the round trip after a minute")
			}
		}
		writes[0].Store(0)
		writes[1].Store(0)
		const intervals = 1000
		time.Sleep(intervals * mux.Config{}.WithDefaults().KeepAlive)
		for side := range writes {
			if n := writes[side].Load(); n < intervals*9/10 || n > intervals*11/10 {
				t.Errorf("side %d writes %d times in %d intervals, want about once in each", side, n, intervals)
			}
		}
	})
}

// Nothing that a session uses belongs to the bubble that used it before.
func TestBubblesShareNothing(t *testing.T) {
	for i := range 3 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			for range 3 {
				synctest.Test(t, func(t *testing.T) {
					for _, m := range []mux.Muxer{yamuxmux.New(), smuxmux.New(), qmux.New()} {
						dial, listen, _ := connect(t, m, mux.Config{})
						converse(t, dial, listen)
						time.Sleep(time.Minute)
						converse(t, dial, listen)
					}
				})
			}
		})
	}
}

// converse sends more than a window in both directions, under a deadline, and lets a
// deadline pass.
func converse(t *testing.T, dial, listen mux.Session) {
	t.Helper()
	const size = 600 << 10
	echoed := make(chan error, 1)
	go func() {
		st, err := listen.Accept(t.Context())
		if err == nil {
			_, err = io.Copy(st, st)
			st.Close()
		}
		echoed <- err
	}()
	st, err := dial.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	deadline := time.Now().Add(time.Minute)
	st.SetDeadline(deadline)
	go func() {
		st.Write(make([]byte, size))
		st.CloseWrite()
	}()
	if n, err := io.Copy(io.Discard, st); n != size || err != nil {
		t.Errorf("%d of %d bytes came back, and error %v", n, size, err)
	}
	if err := <-echoed; err != nil {
		t.Error("echo:", err)
	}

	idle, err := dial.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	peer, err := listen.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	started := time.Now()
	idle.SetReadDeadline(started.Add(time.Second))
	if _, err := idle.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(started) != time.Second {
		t.Errorf("a Read with a deadline after 1s ended after %v with %v", time.Since(started), err)
	}
}
