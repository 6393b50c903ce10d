package transport

import (
	"testing"
	"testing/synctest"

	"github.com/backdial/backdial/carrier/mem"
)

// In TestLifecycleForgets a listener loses a hundred sessions. It keeps nothing of them, or of
// a few if nobody accepts.
func TestLifecycleForgets(t *testing.T) {
	t.Run("accepting", func(t *testing.T) { forgets(t, true, 1) })
	t.Run("not accepting", func(t *testing.T) { forgets(t, false, maxLeft+1) })
}

func forgets(t *testing.T, accepting bool, sources int) {
	synctest.Test(t, func(t *testing.T) {
		network := mem.New()
		dialers := make(chan *Dialer)
		s := NewServer(EndpointHandlerFunc(func(d *Dialer) { dialers <- d }), WithCarriers(network))
		defer s.Close()
		e, err := network.Listen("server", nil, s)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		go e.Serve()
		lis, err := DialAndListenContext(t.Context(), "mem://server", nil, WithCarriers(network), WithReconnect(Backoff{}))
		if err != nil {
			t.Fatal(err)
		}
		defer lis.Close()
		if accepting {
			go lis.Accept()
		}
		for range 100 {
			(<-dialers).Close()
		}
		<-dialers
		synctest.Wait()
		l := lis.life
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.live) != 1 || len(l.arrivals.sources) != sources {
			t.Errorf("%d sessions, want 1; and %d to accept from, want %d", len(l.live), len(l.arrivals.sources), sources)
		}
	})
}
