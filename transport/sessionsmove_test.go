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

	"github.com/backdial/backdial/transport"
)

// TestSessionsDrain shuts all servers down at once, and has others there: the client
// makes its new sessions one after the other, each to another server, has one all the
// time, and nothing is cut.
func TestSessionsDrain(t *testing.T) {
	for _, slow := range []time.Duration{0, 3 * time.Second} {
		t.Run(slow.String(), func(t *testing.T) {
			balances(t, func(t *testing.T, b *balancer) {
				var underWay, most atomic.Int64
				b.through(func(server http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						most.Store(max(most.Load(), underWay.Add(1)))
						time.Sleep(slow)
						underWay.Add(-1) // the client has no answer yet
						server.ServeHTTP(w, r)
					})
				})
				one, two := b.add(t, "one"), b.add(t, "two")
				lis, told := b.listen(t, 2)
				var far, near []net.Conn
				for _, r := range []*replica{one, two} {
					far = append(far, dialled(t, <-r.dialers, "running"))
					near = append(near, accepted(t, lis, "running"))
				}
				time.Sleep(time.Minute)
				three, four := newReplica(t, "three", transport.WithCarriers(b.site.network)), newReplica(t, "four", transport.WithCarriers(b.site.network))
				b.lead(one, three, two, three, four)
				done := []<-chan error{shutdown(t.Context(), one.Server), shutdown(t.Context(), two.Server)}
				for _, r := range []*replica{three, four} {
					d := <-r.dialers
					dialled(t, d, "new")
					accepted(t, lis, "new")
				}
				time.Sleep(time.Hour)
				for i := range far {
					io.WriteString(far[i], "and on")
					if _, err := io.ReadFull(near[i], make([]byte, 6)); err != nil {
						t.Error("a connection in use:", err)
					}
					near[i].Close()
					far[i].Close()
					if err := <-done[i]; err != nil {
						t.Error("shutdown:", err)
					}
				}
				synctest.Wait()
				if got, want := serversOf(lis), []string{"three", "four"}; !slices.Equal(got, want) {
					t.Errorf("sessions to %q, want %q", got, want)
				}
				if got := told.states(); slices.Contains(got, waiting) || slices.Contains(got, connecting) {
					t.Errorf("states %v, want to have a session all the time", got)
				}
				if n := most.Load(); n != 1 {
					t.Errorf("%d sessions were being made at a time, want one", n)
				}
			})
		})
	}
}

// TestSessionsDrainNowhere shuts one of two servers down, while no other is there: the
// client does not let that take longer than without the other session, and finds the
// next server when there is one.
func TestSessionsDrainNowhere(t *testing.T) {
	balances(t, func(t *testing.T, b *balancer) {
		one, two := b.add(t, "one"), b.add(t, "two")
		lis, told := b.listen(t, 2)
		<-one.dialers
		second := <-two.dialers
		time.Sleep(time.Minute)
		began := time.Now()
		if err := (<-shutdown(t.Context(), one.Server)); err != nil {
			t.Error("shutdown:", err)
		}
		if took := time.Since(began); took > 21*time.Second {
			t.Errorf("shutdown took %v", took)
		}
		dialled(t, second, "still")
		accepted(t, lis, "still")
		again := newReplica(t, "one", transport.WithCarriers(b.site.network))
		b.lead(two, again)
		dialled(t, <-again.dialers, "back")
		accepted(t, lis, "back")
		if got, want := told.states(), []transport.State{connected}; !slices.Equal(got, want) {
			t.Errorf("states %v, want %v", got, want)
		}
	})
}

// In TestSessionsMoveInPlace a server goes on, and asks the client to move for its age. The
// client may come back to it, but not to the server of its other session.
func TestSessionsMoveInPlace(t *testing.T) {
	balances(t, func(t *testing.T, b *balancer) {
		one, two := b.add(t, "one"), b.add(t, "two")
		lis, _ := b.listen(t, 2)
		first := <-one.dialers
		<-two.dialers
		time.Sleep(time.Minute)
		b.lead(two, two, one)
		if err := first.Shutdown(t.Context()); err != nil {
			t.Error("shutdown:", err)
		}
		dialled(t, <-one.dialers, "again")
		accepted(t, lis, "again")
		synctest.Wait()
		if got, want := serversOf(lis), []string{"two", "one"}; !slices.Equal(got, want) {
			t.Errorf("sessions to %q, want %q", got, want)
		}
	})
}

// In TestSessionsMoveAgainAndAgain one server sends the client away all the time, and never
// closes. That does not affect the session to the other.
func TestSessionsMoveAgainAndAgain(t *testing.T) {
	balances(t, func(t *testing.T, b *balancer) {
		one, two := b.add(t, "one"), b.add(t, "two")
		gone := make(chan error, 100)
		lis, _ := b.listen(t, 2, transport.WithTrace(transport.Trace{ClientGone: func(_ transport.Info, err error) { gone <- err }}))
		first := <-one.dialers
		for range 20 {
			d := <-two.dialers
			dialled(t, d, "") // keeps it
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go d.Shutdown(ctx)
		}
		<-two.dialers
		synctest.Wait()
		if n := len(lis.Sessions()); n != 2+7 {
			t.Errorf("%d sessions, want two and seven that were left", n)
		}
		if err := first.Err(); err != nil {
			t.Error("the other session has ended:", err)
		}
		if err := <-gone; !errors.Is(err, transport.EndMoved) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("the oldest that was left ends with %v, want transport.EndMoved and net.ErrClosed", err)
		}
	})
}

// In TestSessionsMoving all servers ask the client to move, and then one session is lost. The
// listener's state is that of the best session.
func TestSessionsMoving(t *testing.T) {
	balances(t, func(t *testing.T, b *balancer) {
		one, two := b.add(t, "one"), b.add(t, "two")
		_, told := b.listen(t, 2)
		first, second := <-one.dialers, <-two.dialers
		time.Sleep(time.Minute)
		// expect expects the listener to report these states in the next second, and no
		// others. It begins with the first, unless it is in that state already.
		now := connecting
		expect := func(want ...transport.State) {
			t.Helper()
			time.Sleep(time.Second)
			got := told.states()
			for _, s := range got {
				if !slices.Contains(want, s) {
					t.Errorf("states %v, want %v", got, want)
				}
			}
			if len(want) > 0 && now != want[0] && (len(got) == 0 || got[0] != want[0]) {
				t.Errorf("states %v, want %v first", got, want[0])
			}
			if len(got) > 0 {
				now = got[len(got)-1]
			}
		}
		expect(connected)
		b.site.answer(status(http.StatusServiceUnavailable, ""))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go first.Shutdown(ctx)
		expect()
		go second.Shutdown(ctx)
		expect(moving)
		second.Close()
		expect(moving)
		first.Close()
		expect(waiting, connecting)
		b.site.answer(b.ServeHTTP)
		<-one.dialers
		<-two.dialers
	})
}
