package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// dialled opens a connection, on which something is sent.
func dialled(t *testing.T, d dialer, text string) net.Conn {
	t.Helper()
	c, err := d.Dial()
	if err != nil {
		t.Fatal("dial:", err)
	}
	io.WriteString(c, text)
	return c
}

// accepted accepts a connection, on which something is to arrive.
func accepted(t *testing.T, lis net.Listener, text string) net.Conn {
	t.Helper()
	c, err := lis.Accept()
	if err != nil {
		t.Fatal("accept:", err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); string(got) != text {
		t.Fatalf("accepted %q, %v; want %q", got, err, text)
	}
	return c
}

// shutdown shuts a server down, and returns a channel for its error.
func shutdown(ctx context.Context, s *transport.Server) <-chan error {
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(ctx) }()
	return done
}

// TestMove deploys a server: its client connects to the next before it leaves, and
// nothing is lost.
func TestMove(t *testing.T) {
	for _, m := range []mux.Muxer{yamuxmux.New(), smuxmux.New(), qmux.New()} {
		t.Run(m.Name(), func(t *testing.T) {
			reconnects(t, func(t *testing.T, s *site) {
				s.deploy(t, transport.WithMuxes(m))
				lis, told := s.listen(t, transport.Backoff{}, transport.WithMuxes(m))
				first := <-s.dialers
				time.Sleep(time.Minute) // it is stable
				running := dialled(t, first, "running")
				near := accepted(t, lis, "running")
				waiting := dialled(t, first, "waiting") // to be accepted
				began := time.Now()
				done := shutdown(t.Context(), s.deploy(t, transport.WithMuxes(m)))
				<-first.Draining()
				if _, err := first.Dial(); !errors.Is(err, transport.ErrDraining) || errors.Is(err, net.ErrClosed) {
					t.Errorf("dial while the server shuts down: %v, want transport.ErrDraining", err)
				}

				second := <-s.dialers
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("the client moved after %v", took)
				}
				if err := first.Err(); err != nil {
					t.Error("the first session has ended before the second began:", err)
				}
				dialled(t, second, "new")
				var got []string
				for range 2 { // in either order
					c, err := lis.Accept()
					if err != nil {
						t.Fatal(err)
					}
					b := make([]byte, 20)
					n, _ := c.Read(b)
					got = append(got, string(b[:n]))
					if got[len(got)-1] == "waiting" {
						io.WriteString(c, "answer")
						c.Close()
					}
				}
				if slices.Sort(got); !slices.Equal(got, []string{"new", "waiting"}) {
					t.Errorf("accepted %q, want one connection of each session", got)
				}
				if got, err := io.ReadAll(waiting); string(got) != "answer" || err != nil {
					t.Errorf("read %q, %v on the connection that waited", got, err)
				}
				waiting.Close()
				time.Sleep(time.Hour)
				select {
				case err := <-done:
					t.Fatal("Shutdown did not wait for the connection in use:", err)
				default:
				}
				io.WriteString(running, ", still")
				near.(mux.Stream).CloseWrite()
				if got, err := io.ReadAll(running); len(got) > 0 || err != nil {
					t.Errorf("read %q, %v", got, err)
				}
				running.Close()
				if got, err := io.ReadAll(near); string(got) != ", still" || err != nil {
					t.Errorf("read %q, %v on the connection in use", got, err)
				}
				near.Close()
				if err := <-done; err != nil {
					t.Error("shutdown:", err)
				}
				<-first.Done()
				synctest.Wait()
				if got, want := told.states(), []transport.State{connected, moving, connected}; !slices.Equal(got, want) {
					t.Errorf("states %v, want %v", got, want)
				}
				echo := dialled(t, second, "and on")
				accepted(t, lis, "and on").Close()
				echo.Close()
			})
		})
	}
}

// In TestMoveAcceptsAll many connections wait in two sessions. Accept returns each of them.
func TestMoveAcceptsAll(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		const each = 100
		lis, _ := s.listen(t, transport.Backoff{Stable: time.Second})
		first := <-s.dialers
		time.Sleep(time.Minute)
		for range each {
			dialled(t, first, "old")
		}
		done := shutdown(t.Context(), s.deploy(t))
		second := <-s.dialers
		for range each {
			dialled(t, second, "new")
		}
		var got [2]int
		for range 2 * each {
			c := accepted(t, lis, "")
			b := make([]byte, 3)
			io.ReadFull(c, b)
			if string(b) == "old" {
				got[0]++
			} else {
				got[1]++
			}
			c.Close()
		}
		if got != [2]int{each, each} {
			t.Errorf("accepted %v, want %d of each session", got, each)
		}
		first.Close()
		<-done
	})
}

// TestMoveSpread shuts a server of many clients down: they arrive elsewhere one by
// one, and none is without a session.
func TestMoveSpread(t *testing.T) {
	const clients, seconds = 100, 10
	for _, test := range []struct {
		name    string
		opts    []transport.ServerOption
		timeout time.Duration
		within  time.Duration
	}{
		{"by default", nil, 0, clients * 10 * time.Millisecond},
		{"longer", []transport.ServerOption{transport.WithDrainSpread(time.Minute)}, 0, time.Minute},
		{"in the time that there is", []transport.ServerOption{transport.WithDrainSpread(time.Minute)}, 20 * time.Second, 5 * time.Second},
		{"at once", []transport.ServerOption{transport.WithDrainSpread(-1)}, 0, time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			reconnects(t, func(t *testing.T, s *site) {
				s.deploy(t, test.opts...)
				for range clients {
					s.listen(t, transport.Backoff{})
					<-s.dialers
				}
				time.Sleep(time.Minute)
				ctx, began := t.Context(), time.Now()
				if test.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.timeout)
					defer cancel()
				}
				done := shutdown(ctx, s.deploy(t))
				var arrived [seconds + 1]int
				for range clients {
					<-s.dialers
					arrived[time.Since(began)*seconds/test.within]++
				}
				for i, n := range arrived[:seconds] {
					if test.within > time.Millisecond && (n == 0 || n > clients/4) {
						t.Errorf("%d clients in part %d of %v", n, i, arrived)
						break
					}
				}
				if err := <-done; err != nil {
					t.Error("shutdown:", err)
				}
				if took := time.Since(began); took > test.within+time.Second {
					t.Errorf("shutdown took %v", took)
				}
			})
		})
	}
}

// TestMoveIsNotWaitedFor shuts servers down whose clients have nowhere to go.
func TestMoveIsNotWaitedFor(t *testing.T) {
	shut := func(t *testing.T, s *site, timeout time.Duration) time.Duration {
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		if err := (<-shutdown(ctx, s.deploy(t))); err != nil {
			t.Error("shutdown:", err)
		}
		return time.Since(began)
	}
	t.Run("without reconnecting", func(t *testing.T) {
		reconnects(t, func(t *testing.T, s *site) {
			lis, err := transport.DialAndListenContext(t.Context(), "mem://server", nil, transport.WithCarriers(s.network))
			if err != nil {
				t.Fatal(err)
			}
			if took := shut(t, s, time.Hour); took > time.Second {
				t.Errorf("shutdown took %v", took)
			}
			if _, err := lis.Accept(); !errors.Is(err, mux.ErrSessionEnded) {
				t.Errorf("accept: %v, want mux.ErrSessionEnded", err)
			}
		})
	})
	t.Run("nobody answers", func(t *testing.T) {
		reconnects(t, func(t *testing.T, s *site) {
			s.listen(t, transport.Backoff{})
			s.answer(status(http.StatusServiceUnavailable, ""))
			if took := shut(t, s, time.Hour); took > 30*time.Second {
				t.Errorf("shutdown took %v", took)
			}
			s.answer(nil)
		})
	})
	t.Run("nobody answers in time", func(t *testing.T) {
		reconnects(t, func(t *testing.T, s *site) {
			s.listen(t, transport.Backoff{})
			s.answer(status(http.StatusServiceUnavailable, ""))
			if took := shut(t, s, 8*time.Second); took > 5*time.Second {
				t.Errorf("shutdown took %v", took)
			}
			s.answer(nil)
		})
	})
}

// In TestMoveAgainAndAgain servers send their clients away at once. The clients come less and
// less often, and never have too many sessions.
func TestMoveAgainAndAgain(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		s.listen(t, transport.Backoff{})
		began, n := time.Now(), 0
		var dialers []*transport.Dialer
		for time.Since(began) < 10*time.Minute {
			d := <-s.dialers
			n++
			dialers = append(dialers, d)
			if _, err := d.Dial(); err != nil { // keeps it
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go d.Shutdown(ctx)
			synctest.Wait()
			dialers = slices.DeleteFunc(dialers, func(d *transport.Dialer) bool { return d.Err() != nil })
			if len(dialers) > 9 { // one is about to be closed
				t.Fatalf("the client has %d sessions", len(dialers))
			}
		}
		if n > 100 {
			t.Errorf("the client came %d times in 10 minutes", n)
		}
	})
}

// In TestMoveAfterOutage a server shuts down soon after a client has waited long for it. The
// client must not wait long now.
func TestMoveAfterOutage(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		for range 20 {
			lis, told := s.listen(t, transport.Backoff{})
			(<-s.dialers).Close()
			s.answer(status(http.StatusServiceUnavailable, ""))
			time.Sleep(5 * time.Minute)
			s.answer(nil)
			<-s.dialers
			synctest.Wait()
			told.take()
			began := time.Now()
			done := shutdown(t.Context(), s.deploy(t))
			<-s.dialers
			if took := time.Since(began); took > 10*time.Second+moveTime {
				t.Errorf("the client moved after %v", took)
			}
			if err := <-done; err != nil {
				t.Error("shutdown:", err)
			}
			if got := told.states(); slices.Contains(got, waiting) {
				t.Errorf("states %v, want to have a session all the time", got)
			}
			lis.Close()
		}
	})
}

// TestMoveAskedEarly asks a client to move before it is done with having connected.
func TestMoveAskedEarly(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		slow := transport.Trace{ClientConnected: func(transport.Info) { time.Sleep(time.Second) }}
		s.listen(t, transport.Backoff{}, transport.WithTrace(slow))
		(<-s.dialers).Close()
		d := <-s.dialers // of a session that somebody is still busy with
		done := make(chan error, 1)
		go func() { done <- d.Shutdown(t.Context()) }()
		<-s.dialers
		if err := <-done; err != nil {
			t.Error("shutdown:", err)
		}
	})
}

// In TestAcceptOfOldSessions a connection waits in a session that goes on, while others come
// and go.
func TestAcceptOfOldSessions(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		lis, _ := s.listen(t, transport.Backoff{Stable: time.Second})
		first := <-s.dialers
		time.Sleep(time.Minute)
		far := dialled(t, first, "waiting")
		go first.Shutdown(t.Context())
		for range 20 {
			d := <-s.dialers
			time.Sleep(time.Minute)
			d.Close()
		}
		<-s.dialers
		accepted(t, lis, "waiting").Close()
		far.Close()
	})
}

// In TestEndWithOldSession a server sends the listener away for good, while an older session
// goes on. Accept does not wait for that session.
func TestEndWithOldSession(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		lis, _ := s.listen(t, transport.Backoff{Stable: time.Second})
		first := <-s.dialers
		time.Sleep(time.Minute)
		running := dialled(t, first, "running")
		near := accepted(t, lis, "running")
		go first.Shutdown(t.Context())
		second := <-s.dialers
		s.answer(verdict(http.StatusForbidden))
		second.Close()
		if _, err := lis.Accept(); !rejectedWith(http.StatusForbidden)(err) {
			t.Errorf("accept: %v, want a refusal", err)
		}
		io.WriteString(running, "and on")
		if _, err := io.ReadFull(near, make([]byte, 6)); err != nil {
			t.Error("the connection in use:", err)
		}
		lis.Close()
		<-first.Done()
	})
}

// TestCloseWhileMoving closes a listener that has two sessions, or is about to.
func TestCloseWhileMoving(t *testing.T) {
	for _, moved := range []bool{false, true} {
		for _, end := range ends {
			name := end.name + " while moving"
			if moved {
				name = end.name + " after a move"
			}
			t.Run(name, func(t *testing.T) {
				reconnects(t, func(t *testing.T, s *site) {
					lis, told := s.listen(t, transport.Backoff{Stable: time.Second})
					d := <-s.dialers
					time.Sleep(time.Minute)
					far := dialled(t, d, "running")
					near := accepted(t, lis, "running")
					if !moved {
						s.answer(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
					}
					done := shutdown(t.Context(), s.deploy(t, transport.WithDrainSpread(-1)))
					time.Sleep(5 * time.Second)
					if moved {
						<-s.dialers
					}
					closing := make(chan error, 1)
					go func() { closing <- end.call(lis) }()
					if end.name == "Shutdown" {
						time.Sleep(time.Minute)
						io.WriteString(far, "and on")
						if _, err := io.ReadFull(near, make([]byte, 6)); err != nil {
							t.Error("the connection in use:", err)
						}
						near.Close()
						far.Close()
					}
					if err := <-closing; err != nil {
						t.Error(err)
					}
					if _, err := lis.Accept(); !errors.Is(err, net.ErrClosed) {
						t.Errorf("accept: %v, want net.ErrClosed", err)
					}
					<-d.Done()
					far.Close()
					<-done
					if got := told.states(); got[len(got)-1] != ended {
						t.Errorf("states %v", got)
					}
				})
			})
		}
	}
}

// moveTime is how long a move without a delay takes.
const moveTime = time.Second
