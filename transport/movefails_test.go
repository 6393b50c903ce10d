package transport_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/transport"
)

// In TestMoveFails the next server refuses the client.
func TestMoveFails(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		lis, told := s.listen(t, transport.Backoff{Stable: time.Second})
		d := <-s.dialers
		time.Sleep(time.Minute)
		running := dialled(t, d, "running")
		near := accepted(t, lis, "running")
		s.answer(verdict(http.StatusForbidden))
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

// In TestMoveFailsAndEnds the session ends just when the listener has given up the move.
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
		s.answer(verdict(http.StatusForbidden))
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

// In TestMoveLate the next server is not there yet, and the client goes on trying.
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

// In TestMoveIsSentBack a proxy asks several servers by turns, and one of them shuts down. A
// client that the proxy sends back there, even three times, still has a session when it gets
// to another.
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

// In TestMoveLosesSession the old session ends before the client has moved.
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
				synctest.Wait() // what has begun is told a moment later
				if got := told.states(); test.want != nil && !slices.Equal(got, test.want) {
					t.Errorf("states %v, want %v", got, test.want)
				} else if last := got[len(got)-1]; last != connected {
					t.Errorf("states %v, want to be connected in the end", got)
				}
			})
		})
	}
}

// In TestMoveIsSeenToFail the session ends, and the client cannot move. It has no session, and
// says so.
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
