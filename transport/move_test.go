package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/mux"
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

// shutdown has a server shut down, and returns where its error will be.
func shutdown(ctx context.Context, s *transport.Server) <-chan error {
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(ctx) }()
	return done
}

// TestMove deploys a server: its client connects to the next before it leaves, and
// nothing is lost.
func TestMove(t *testing.T) {
	for _, m := range []mux.Muxer{yamuxmux.New(), smuxmux.New()} {
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

// TestMoveAcceptsAll has many connections wait in two sessions: Accept returns each
// of them.
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

// TestMoveFails has the next server not want the client.
func TestMoveFails(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		lis, told := s.listen(t, transport.Backoff{Stable: time.Second})
		d := <-s.dialers
		time.Sleep(time.Minute)
		running := dialled(t, d, "running")
		near := accepted(t, lis, "running")
		s.answer(status(http.StatusForbidden, ""))
		done := shutdown(t.Context(), s.deploy(t))
		time.Sleep(time.Minute)
		changes := told.take()
		last := changes[len(changes)-1]
		if _, ok := errors.AsType[*carrier.RejectedError](last.Err); !ok || last.From != moving || last.To != connected {
			t.Errorf("last change %+v, want to be connected again, because of a refusal", last)
		}
		io.WriteString(running, "and on")
		if _, err := io.ReadFull(near, make([]byte, 6)); err != nil {
			t.Error("the connection in use:", err)
		}
		near.Close()
		running.Close()
		if err := <-done; err != nil {
			t.Error("shutdown:", err)
		}
		_, err := lis.Accept()
		if rejected, ok := errors.AsType[*carrier.RejectedError](err); !ok || rejected.StatusCode != http.StatusForbidden {
			t.Errorf("accept: %v, want a refusal", err)
		}
	})
}

// TestMoveFailsAndEnds has the session end at the moment when the listener has
// given up to move from it, and knows of nothing better.
func TestMoveFailsAndEnds(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		slow := transport.Trace{StateChanged: func(c transport.StateChange) {
			if c.From == moving {
				time.Sleep(time.Minute) // in which the server closes the session
			}
		}}
		lis, _ := s.listen(t, transport.Backoff{Stable: time.Second}, transport.WithTrace(slow))
		<-s.dialers
		time.Sleep(time.Minute)
		s.answer(status(http.StatusForbidden, ""))
		began := time.Now()
		if err := (<-shutdown(t.Context(), s.deploy(t))); err != nil {
			t.Error("shutdown:", err)
		}
		if took := time.Since(began); took > 11*time.Second {
			t.Errorf("shutdown took %v, although the client said that it stays", took)
		}
		s.answer(nil)
		far := dialled(t, <-s.dialers, "back")
		accepted(t, lis, "back").Close()
		far.Close()
	})
}

// TestMoveLate has the next server not there yet: the client goes on trying.
func TestMoveLate(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		lis, told := s.listen(t, transport.Backoff{Stable: time.Second})
		d := <-s.dialers
		time.Sleep(time.Minute)
		running := dialled(t, d, "running")
		near := accepted(t, lis, "running")
		s.answer(status(http.StatusServiceUnavailable, ""))
		done := shutdown(t.Context(), s.deploy(t))
		time.Sleep(time.Minute)
		for i, c := range told.take() {
			if i > 0 && (c.To != moving || i > 1 && (c.Err == nil || c.Attempt != i-1)) {
				t.Errorf("change %d: %+v, want one that is moving", i, c)
			}
		}
		s.answer(nil)
		second := <-s.dialers
		far := dialled(t, second, "there")
		accepted(t, lis, "there").Close()
		far.Close()
		running.Close()
		near.Close()
		if err := <-done; err != nil {
			t.Error("shutdown:", err)
		}
		if got, want := told.states(), []transport.State{connected}; !slices.Equal(got, want) {
			t.Errorf("states %v, want %v", got, want)
		}
	})
}

// TestMoveIsSentBack has the server that shuts down be one of several that a proxy asks
// by turns: a client that it sends there again, even three times, still has a session
// when it gets to another.
func TestMoveIsSentBack(t *testing.T) {
	for range 20 { // waits are random
		reconnects(t, func(t *testing.T, s *site) {
			_, told := s.listen(t, transport.Backoff{})
			<-s.dialers
			time.Sleep(time.Minute) // it is stable
			before := s.deploy(t)
			var turns atomic.Int64
			s.answer(func(w http.ResponseWriter, r *http.Request) {
				if turns.Add(1) <= 3 {
					before.ServeHTTP(w, r)
				} else {
					s.current().ServeHTTP(w, r)
				}
			})
			done := shutdown(t.Context(), before)
			<-s.dialers
			if err := <-done; err != nil {
				t.Error("shutdown:", err)
			}
			synctest.Wait()
			if got := told.states(); slices.Contains(got, waiting) || turns.Load() != 4 {
				t.Errorf("states %v after %d turns, want to have a session all the time", got, turns.Load())
			}
		})
	}
}

// TestMoveLosesSession has the session end that is to be left.
func TestMoveLosesSession(t *testing.T) {
	for _, test := range []struct {
		name   string
		spread time.Duration
		when   time.Duration // after the server is told to shut down
		want   []transport.State
	}{
		{"in the pause", time.Hour, time.Nanosecond, []transport.State{connected, moving, waiting, connecting, connected}},
		{"between attempts", -1, 20 * time.Second, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			reconnects(t, func(t *testing.T, s *site) {
				s.deploy(t, transport.WithDrainSpread(test.spread))
				lis, told := s.listen(t, transport.Backoff{Stable: time.Second})
				d := <-s.dialers
				time.Sleep(time.Minute)
				dialled(t, d, "running")
				accepted(t, lis, "running")
				if test.want == nil {
					s.answer(status(http.StatusServiceUnavailable, ""))
				}
				before := s.deploy(t)
				done := shutdown(t.Context(), before)
				time.Sleep(test.when)
				before.Close()
				<-done
				time.Sleep(time.Minute)
				s.answer(nil)
				far := dialled(t, <-s.dialers, "there")
				accepted(t, lis, "there").Close()
				far.Close()
				if got := told.states(); test.want != nil && !slices.Equal(got, test.want) {
					t.Errorf("states %v, want %v", got, test.want)
				} else if last := got[len(got)-1]; last != connected {
					t.Errorf("states %v, want to be connected in the end", got)
				}
			})
		})
	}
}

// TestMoveAgainAndAgain has servers that send their clients away at once: they
// come less and less often, and never have too many sessions.
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

// TestMoveAfterOutage has a server shut down soon after its client has been waiting
// for it for long: that it did is no reason to be late now.
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

// TestMoveIsSeenToFail has the session end that a client cannot move from: it has
// none, and says so.
func TestMoveIsSeenToFail(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		_, told := s.listen(t, transport.Backoff{Stable: time.Second})
		d := <-s.dialers
		time.Sleep(time.Minute)
		s.answer(status(http.StatusServiceUnavailable, "600"))
		go d.Shutdown(t.Context())
		<-d.Done()
		synctest.Wait()
		changes := told.take()
		if last := changes[len(changes)-1]; last.To != waiting || last.Err == nil || last.Wait < 9*time.Minute {
			t.Errorf("last change %+v, want to wait without a session", last)
		}
		s.answer(nil)
		<-s.dialers
	})
}

// TestDialWhileDrained has a Dial wait for the client to accept when the drain
// begins.
func TestDialWhileDrained(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		s.listen(t, transport.Backoff{})
		d := <-s.dialers
		for range 256 { // which nobody accepts
			dialled(t, d, "")
		}
		blocked := make(chan error, 1)
		go func() { _, err := d.Dial(); blocked <- err }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go d.Shutdown(ctx)
		if err := <-blocked; !errors.Is(err, transport.ErrDraining) || errors.Is(err, net.ErrClosed) {
			t.Errorf("dial: %v, want transport.ErrDraining", err)
		}
		<-d.Done()
	})
}

// TestAcceptOfOldSessions has a connection wait in a session that goes on, while
// others come and go.
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

// TestEndWithOldSession has the listener told that it is not wanted, while an older
// session goes on: Accept does not wait for that.
func TestEndWithOldSession(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		lis, _ := s.listen(t, transport.Backoff{Stable: time.Second})
		first := <-s.dialers
		time.Sleep(time.Minute)
		running := dialled(t, first, "running")
		near := accepted(t, lis, "running")
		go first.Shutdown(t.Context())
		second := <-s.dialers
		s.answer(status(http.StatusForbidden, ""))
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

// TestDialerShutdown moves one client, and lets another one be.
func TestDialerShutdown(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		s.listen(t, transport.Backoff{Stable: time.Second})
		one := <-s.dialers
		s.listen(t, transport.Backoff{Stable: time.Second})
		other := <-s.dialers
		time.Sleep(time.Minute)
		if err := one.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		<-s.dialers
		<-one.Done()
		if err := other.Err(); err != nil {
			t.Error("the other session has ended:", err)
		}
		if _, err := one.Dial(); !errors.Is(err, net.ErrClosed) || errors.Is(err, transport.ErrDraining) {
			t.Errorf("dial: %v, want net.ErrClosed", err)
		}
		// Its end is bounded by a context.
		if _, err := other.Dial(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := other.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("shutdown of a client in use: %v, want context.DeadlineExceeded", err)
		}
		<-other.Done()
	})
}

// TestListenerLeaves has the client shut down: the server knows.
func TestListenerLeaves(t *testing.T) {
	for _, m := range []mux.Muxer{yamuxmux.New(), smuxmux.New()} {
		t.Run(m.Name(), func(t *testing.T) {
			reconnects(t, func(t *testing.T, s *site) {
				s.deploy(t, transport.WithMuxes(m))
				lis, _ := s.listen(t, transport.Backoff{}, transport.WithMuxes(m))
				d := <-s.dialers
				far := dialled(t, d, "running")
				near := accepted(t, lis, "running")
				left := make(chan error, 1)
				go func() { left <- lis.Shutdown(t.Context()) }()
				synctest.Wait()
				if _, err := d.Dial(); !errors.Is(err, transport.ErrDraining) || !errors.Is(err, mux.ErrGoAway) {
					t.Errorf("dial: %v, want transport.ErrDraining and mux.ErrGoAway", err)
				}
				<-d.Draining()
				if err := context.Cause(d.Dialable()); !errors.Is(err, transport.ErrDraining) {
					t.Errorf("dialable until %v, want transport.ErrDraining", err)
				}
				near.Close()
				far.Close()
				if err := <-left; err != nil {
					t.Error("shutdown:", err)
				}
			})
		})
	}
}

// TestMaxAge lets sessions get old.
func TestMaxAge(t *testing.T) {
	const day = 24 * time.Hour
	for _, test := range []struct {
		name      string
		opts      []transport.ServerOption
		reconnect bool
		from, to  time.Duration // of the end of the session; none if to is 0
	}{
		{"by default", nil, true, day / 10 * 8, day / 10 * 9},
		{"a client that cannot move", nil, false, 0, 0},
		{"an hour", []transport.ServerOption{transport.WithMaxAge(time.Hour)}, true, 48 * time.Minute, 54 * time.Minute},
		{"a client that has to", []transport.ServerOption{transport.WithMaxAge(time.Hour)}, false, 48 * time.Minute, 54 * time.Minute},
		{"none", []transport.ServerOption{transport.WithMaxAge(-1)}, true, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			reconnects(t, func(t *testing.T, s *site) {
				s.deploy(t, test.opts...)
				if test.reconnect {
					s.listen(t, transport.Backoff{})
				} else if lis, err := transport.DialAndListen("mem://server", nil, transport.WithCarriers(s.network)); err != nil {
					t.Fatal(err)
				} else {
					defer lis.Close()
				}
				began, d := time.Now(), <-s.dialers
				select {
				case <-d.Done():
				case <-time.After(2 * day):
				}
				age := time.Since(began)
				if test.to == 0 && d.Moving() {
					t.Error("a client that stays is said to move")
				}
				if test.to == 0 && d.Err() != nil || test.to > 0 && (age < test.from || age > test.to+moveTime) {
					t.Errorf("the session ended after %v: %v", age, d.Err())
				}
				if test.to > 0 && test.reconnect {
					<-s.dialers // the next
				}
			})
		})
	}
	t.Run("late", func(t *testing.T) {
		reconnects(t, func(t *testing.T, s *site) {
			s.listen(t, transport.Backoff{})
			d := <-s.dialers
			time.Sleep(day / 10 * 8)
			s.answer(status(http.StatusServiceUnavailable, ""))
			time.Sleep(day / 10)
			s.answer(nil)
			<-s.dialers
			<-d.Done()
		})
	})
	t.Run("with a connection in use by default", func(t *testing.T) {
		reconnects(t, func(t *testing.T, s *site) {
			lis, _ := s.listen(t, transport.Backoff{})
			d := <-s.dialers
			far := dialled(t, d, "running")
			near := accepted(t, lis, "running")
			<-s.dialers
			time.Sleep(2 * day)
			if err := d.Err(); err != nil {
				t.Error("a connection in use was cut:", err)
			}
			far.Close()
			near.Close()
			<-d.Done()
		})
	})
	t.Run("with a connection in use", func(t *testing.T) {
		reconnects(t, func(t *testing.T, s *site) {
			s.deploy(t, transport.WithMaxAge(time.Hour))
			lis, _ := s.listen(t, transport.Backoff{})
			began, d := time.Now(), <-s.dialers
			dialled(t, d, "running")
			near := accepted(t, lis, "running")
			<-s.dialers
			if err := d.Err(); err != nil {
				t.Error("the session ended before its successor began:", err)
			}
			if _, err := near.Read(make([]byte, 1)); !errors.Is(err, mux.ErrSessionEnded) {
				t.Errorf("read: %v, want mux.ErrSessionEnded", err)
			}
			if age := time.Since(began); age < time.Hour || age > time.Hour+time.Minute {
				t.Errorf("the connection was cut after %v", age)
			}
		})
	})
}

// moveTime is what a move takes that is not delayed.
const moveTime = time.Second
