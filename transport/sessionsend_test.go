package transport_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/transport"
)

// TestSessionsEnd ends a listener of two sessions, whatever it is doing. The bubble fails
// the test if anything is left running.
func TestSessionsEnd(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for _, test := range []struct {
		name string
		when func(b *balancer, d []*transport.Dialer)
	}{
		{"in all sessions", func(*balancer, []*transport.Dialer) {}},
		{"in a pause", func(b *balancer, d []*transport.Dialer) {
			b.site.answer(status(http.StatusServiceUnavailable, "600"))
			d[1].Close()
		}},
		{"in an attempt, and waiting for one", func(b *balancer, d []*transport.Dialer) {
			b.site.answer(hang)
			d[0].Close()
			d[1].Close()
		}},
		{"moving", func(b *balancer, d []*transport.Dialer) {
			b.site.answer(hang)
			for _, d := range d {
				go d.Shutdown(d.Context())
			}
		}},
	} {
		for _, end := range ends {
			t.Run(test.name+", "+end.name, func(t *testing.T) {
				balances(t, func(t *testing.T, b *balancer) {
					one, two := b.add(t, "one"), b.add(t, "two")
					lis, told := b.listen(t, 3) // and looks for a third
					dialers := []*transport.Dialer{<-one.dialers, <-two.dialers}
					time.Sleep(time.Minute)
					test.when(b, dialers)
					time.Sleep(5 * time.Second)
					if err := end.call(lis); err != nil {
						t.Error(err)
					}
					if _, err := lis.Accept(); !errors.Is(err, net.ErrClosed) {
						t.Errorf("accept: %v, want net.ErrClosed", err)
					}
					if n := len(lis.Sessions()); n != 0 {
						t.Errorf("%d sessions after the end", n)
					}
					for _, d := range dialers {
						<-d.Done()
					}
					if got := told.states(); got[len(got)-1] != ended {
						t.Errorf("states %v, want to have ended", got)
					}
				})
			})
		}
	}
}

// TestSessionsShutdown waits for the connections of all sessions.
func TestSessionsShutdown(t *testing.T) {
	balances(t, func(t *testing.T, b *balancer) {
		one, two := b.add(t, "one"), b.add(t, "two")
		lis, _ := b.listen(t, 2)
		var far, near []net.Conn
		for _, r := range []*replica{one, two} {
			far = append(far, dialled(t, <-r.dialers, "running"))
			near = append(near, accepted(t, lis, "running"))
		}
		done := make(chan error, 1)
		go func() { done <- lis.Shutdown(t.Context()) }()
		for i := range far {
			synctest.Wait()
			select {
			case err := <-done:
				t.Fatal("Shutdown did not wait:", err)
			default:
			}
			io.WriteString(near[i], "the end")
			near[i].Close()
			if got, err := io.ReadAll(far[i]); string(got) != "the end" || err != nil {
				t.Errorf("read %q, %v", got, err)
			}
			far[i].Close()
		}
		if err := <-done; err != nil {
			t.Error("shutdown:", err)
		}
	})
}
