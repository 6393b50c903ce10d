package nativemux_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/mux"
)

// bad lists bad paths.
var bad = map[string]conditions{
	"EveryTenthLost": {drop: everyNth(10)},
	"TwoPercentLost": {drop: percent(2)},
	"Reordered":      {delay: jitter(20 * time.Millisecond)},
	"All":            {drop: percent(2), delay: jitter(20 * time.Millisecond)},
}

// onBad runs test on every bad path.
func onBad(t *testing.T, test func(*testing.T, *network)) {
	for name, c := range bad {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				n := newNetwork(t, c)
				test(t, n)
				sent, lost := n.count()
				t.Logf("took %v, %d of %d packets lost", time.Since(began), lost, sent)
				if c.drop != nil && lost == 0 {
					t.Error("nothing was lost")
				}
			})
		})
	}
}

// content is what stream i carries.
func content(i uint64) []byte {
	b := make([]byte, 1<<20)
	var seed [32]byte
	seed[0] = byte(i)
	rand.NewChaCha8(seed).Read(b)
	return b
}

// TestRoundTrips counts round trips.
func TestRoundTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, conditions{})
		began := time.Now()
		d := n.sessions(t, mux.Config{})
		took := time.Since(began)
		t.Log("a session takes", took)
		if took >= 3*roundTrip {
			t.Errorf("a session takes %v, want two round trips of %v", took, roundTrip)
		}
		go func() {
			for {
				st, err := d.listen.Accept(t.Context())
				if err != nil {
					return
				}
				go func() {
					defer st.Close()
					io.Copy(st, st)
				}()
			}
		}()
		for range 3 {
			began = time.Now()
			st, err := d.dial.Open(t.Context())
			if err != nil {
				t.Fatal("open:", err)
			}
			if took := time.Since(began); took > 0 {
				t.Errorf("Open takes %v, want no time", took)
			}
			if _, err := st.Write([]byte("hello")); err != nil {
				t.Fatal("write:", err)
			}
			if _, err := io.ReadFull(st, make([]byte, 5)); err != nil {
				t.Fatal("read:", err)
			}
			took := time.Since(began)
			t.Log("an echo takes", took)
			if took < roundTrip || took >= roundTrip*5/4 {
				t.Errorf("an echo takes %v, want a round trip of %v", took, roundTrip)
			}
			st.Close()
		}
	})
}

// exchange makes both ends of a stream write their content, finish, and read the other's.
func exchange(t *testing.T, a, b mux.Stream, fromA, fromB []byte) {
	var wg sync.WaitGroup
	half := func(st mux.Stream, ours, theirs []byte) {
		wg.Go(func() {
			if _, err := st.Write(ours); err != nil {
				t.Error("write:", err)
			}
			if err := st.CloseWrite(); err != nil {
				t.Error("close write:", err)
			}
		})
		wg.Go(func() {
			if got, err := io.ReadAll(st); !bytes.Equal(got, theirs) || err != nil {
				t.Errorf("got %d bytes of %d, %v", len(got), len(theirs), err)
			}
		})
	}
	half(a, fromA, fromB)
	half(b, fromB, fromA)
	wg.Wait()
	a.Close()
	b.Close()
}

// exchanges exchanges contents on several streams at a time.
func (d duo) exchanges(t *testing.T) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range uint64(3) {
		a, b := open(t, d.dial, d.listen)
		wg.Go(func() { exchange(t, a, b, content(2*i), content(2*i+1)) })
	}
	wg.Wait()
}

func TestBadPath(t *testing.T) {
	onBad(t, func(t *testing.T, n *network) {
		n.sessions(t, mux.Config{}).exchanges(t)
	})
}

// TestBadPathLastWords closes the session right after the last Write, on either end, with
// the stream finished or just left open.
func TestBadPathLastWords(t *testing.T) {
	for _, from := range []string{"Dial", "Listen"} {
		for _, finish := range []bool{true, false} {
			name := from + "Finished"
			if !finish {
				name = from + "Left"
			}
			t.Run(name, func(t *testing.T) {
				onBad(t, func(t *testing.T, n *network) {
					d := n.sessions(t, mux.Config{Linger: time.Minute})
					writer, reader := open(t, d.dial, d.listen)
					closes := d.dial
					if from == "Listen" {
						writer, reader, closes = reader, writer, d.listen
					}
					var wg sync.WaitGroup
					defer wg.Wait()
					said := content(0)
					wg.Go(func() {
						if _, err := writer.Write(said); err != nil {
							t.Error("write:", err)
						}
						if finish {
							writer.CloseWrite()
						}
						closes.Close()
					})
					got, err := io.ReadAll(reader)
					if !bytes.Equal(got, said) {
						t.Errorf("got %d bytes of %d", len(got), len(said))
					}
					if finish && err != nil || !finish && !errors.Is(err, mux.ErrSessionEnded) {
						t.Errorf("read returned %v at the end", err)
					}
				})
			})
		}
	}
}

// TestLostLastWords closes a session whose last bytes were lost on the way: they are sent
// again, unless the session does not wait for that. Then a reader must not take what it
// has for everything.
func TestLostLastWords(t *testing.T) {
	for _, test := range []struct {
		name           string
		linger         time.Duration
		listen, finish bool
	}{
		{"DialFinished", 0, false, true},
		{"DialLeft", 0, false, false},
		{"DialHurried", -1, false, true},
		{"ListenFinished", 0, true, true},
		{"ListenLeft", 0, true, false},
		{"ListenHurried", -1, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, conditions{})
				d := n.sessions(t, mux.Config{Linger: test.linger})
				writer, reader := open(t, d.dial, d.listen)
				closes := d.dial
				if test.listen {
					writer, reader, closes = reader, writer, d.listen
				}
				write := func(said string) {
					if _, err := io.WriteString(writer, said); err != nil {
						t.Fatal("write:", err)
					}
				}
				write("arrives")
				if _, err := io.ReadFull(reader, make([]byte, len("arrives"))); err != nil {
					t.Fatal("read:", err)
				}
				n.setDead(true)
				write("does not")
				if test.finish {
					writer.CloseWrite()
				}
				synctest.Wait() // until it is sent
				n.setDead(false)
				go closes.Close()
				got, err := io.ReadAll(reader)
				want := "does not"
				if test.linger < 0 {
					want = ""
				}
				if string(got) != want {
					t.Errorf("got %q, want %q", got, want)
				}
				if complete := test.finish && test.linger >= 0; complete && err != nil || !complete && (!errors.Is(err, mux.ErrSessionEnded) || errors.Is(err, io.EOF)) {
					t.Errorf("read returned %v at the end", err)
				}
			})
		})
	}
}

// An outcome says how a call ended, and when.
type outcome struct {
	what string
	err  error
	at   time.Time
}

// pending starts calls on an end of a session: a Read, a Write and an Open. The config
// must have a backlog of one.
func pending(t *testing.T, s, peer mux.Session) <-chan outcome {
	t.Helper()
	read, _ := open(t, s, peer)
	write, _ := open(t, s, peer)
	if _, err := s.Open(t.Context()); err != nil { // and nobody accepts it
		t.Fatal("open:", err)
	}
	ended := make(chan outcome, 3)
	call := func(what string, f func() error) {
		go func() {
			err := f()
			ended <- outcome{what, err, time.Now()}
		}()
	}
	call("Read", func() error {
		_, err := read.Read(make([]byte, 1))
		return err
	})
	call("Write", func() error {
		for {
			if _, err := write.Write(make([]byte, 1<<20)); err != nil {
				return err
			}
		}
	})
	call("Open", func() error {
		_, err := s.Open(t.Context())
		return err
	})
	return ended
}

// TestDeadPath kills the path under a session that is in use or idle.
func TestDeadPath(t *testing.T) {
	const (
		linger      = 500 * time.Millisecond
		idleTimeout = 20 * time.Second
		packets     = 5 * time.Second // between those of an idle carrier
	)
	for _, test := range []struct {
		name   string
		config mux.Config
		busy   bool
		within time.Duration
		cause  error
	}{{
		// quic-go starts the timeout anew with the first packet after the last
		// one received that has other frames than STREAM.
		"Busy", mux.Config{KeepAlive: -1},
		true, 2 * idleTimeout, mux.ErrSessionEnded,
	}, {
		// The timeout starts anew with the first packet that wants an answer.
		"Idle", mux.Config{KeepAlive: -1},
		false, packets + idleTimeout + roundTrip, mux.ErrSessionEnded,
	}, {
		"BusyKeptAlive", mux.Config{KeepAlive: 4 * time.Second, KeepAliveTimeout: 2 * time.Second},
		true, 6*time.Second + roundTrip, mux.ErrSilent,
	}, {
		"IdleKeptAlive", mux.Config{KeepAlive: 4 * time.Second, KeepAliveTimeout: 2 * time.Second},
		false, 6*time.Second + roundTrip, mux.ErrSilent,
	}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, conditions{})
				test.config.Linger = linger
				test.config.AcceptBacklog = 1
				d := n.sessions(t, test.config, webtransport.WithIdleTimeout(idleTimeout), webtransport.WithKeepAlive(packets))
				var ended []<-chan outcome
				if test.busy {
					ended = []<-chan outcome{pending(t, d.dial, d.listen), pending(t, d.listen, d.dial)}
				} else {
					open(t, d.dial, d.listen)
					time.Sleep(7 * time.Second) // the path is idle, and nothing is due
				}
				n.setDead(true)
				died := time.Now()
				for _, s := range []mux.Session{d.dial, d.listen} {
					<-s.Context().Done()
					took, cause := time.Since(died), context.Cause(s.Context())
					t.Logf("ended after %v: %v", took, cause)
					if took > test.within {
						t.Errorf("session ended after %v, want %v at most", took, test.within)
					}
					if !errors.Is(cause, test.cause) || !errors.Is(cause, mux.ErrSessionEnded) || errors.Is(cause, io.EOF) || errors.Is(cause, net.ErrClosed) {
						t.Errorf("cause %v, want %v", cause, test.cause)
					}
				}
				for _, c := range ended {
					for range cap(c) {
						o := <-c
						if took := o.at.Sub(died); took > test.within {
							t.Errorf("%s returned after %v, want %v at most", o.what, took, test.within)
						}
						if !errors.Is(o.err, mux.ErrSessionEnded) || errors.Is(o.err, io.EOF) {
							t.Errorf("%s returned %v, want mux.ErrSessionEnded", o.what, o.err)
						}
					}
				}
				for _, s := range []mux.Session{d.dial, d.listen} {
					began := time.Now()
					if err := s.Close(); err != nil {
						t.Error("close:", err)
					}
					if took := time.Since(began); took > linger {
						t.Errorf("Close takes %v, longer than to linger", took)
					}
				}
			})
		})
	}
}

// TestCloseOnDeadPath closes a session that has not noticed yet.
func TestCloseOnDeadPath(t *testing.T) {
	const linger = 2 * time.Second
	for _, end := range []string{"Dial", "Listen"} {
		t.Run(end, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, conditions{})
				d := n.sessions(t, mux.Config{Linger: linger, AcceptBacklog: 1})
				s, peer := d.dial, d.listen
				if end == "Listen" {
					s, peer = peer, s
				}
				ended := pending(t, s, peer)
				n.setDead(true)
				began := time.Now()
				if err := s.Close(); err != nil {
					t.Error("close:", err)
				}
				took := time.Since(began)
				t.Log("Close takes", took)
				if took > linger+100*time.Millisecond {
					t.Errorf("Close takes %v, longer than to linger", took)
				}
				for range cap(ended) {
					if o := <-ended; !errors.Is(o.err, net.ErrClosed) {
						t.Errorf("%s returned %v, want net.ErrClosed", o.what, o.err)
					}
				}
			})
		})
	}
}

// TestPathComesBack kills the path for less than a second, in the middle of transfers and
// while nothing is sent.
func TestPathComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, conditions{})
		d := n.sessions(t, mux.Config{KeepAlive: 4 * time.Second, KeepAliveTimeout: 4 * time.Second})
		began := time.Now()
		gone := func() {
			n.setDead(true)
			time.AfterFunc(900*time.Millisecond, func() { n.setDead(false) })
		}
		time.AfterFunc(2*roundTrip, gone)
		d.exchanges(t)
		sent, lost := n.count()
		t.Logf("took %v, %d of %d packets lost", time.Since(began), lost, sent)
		if lost == 0 {
			t.Error("nothing was lost")
		}
		for range 20 {
			gone() // at another moment between two pings each time
			time.Sleep(4730 * time.Millisecond)
		}
		d.exchanges(t)
		for _, s := range []mux.Session{d.dial, d.listen} {
			if s.Context().Err() != nil {
				t.Error("session ended:", context.Cause(s.Context()))
			}
		}
	})
}
