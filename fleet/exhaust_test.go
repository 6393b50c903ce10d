package fleet_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/internal/test/finite"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// exhausts runs a test with a site whose first session opens 100 streams, and a client of
// the site whose ID is 1.
func exhausts(t *testing.T, reserve int, test func(*testing.T, *site), opts ...transport.ClientOption) {
	t.Helper()
	for _, m := range []mux.Muxer{yamuxmux.New(), smuxmux.New()} {
		t.Run(m.Name(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSite(t, fleet.WithWaitForClient())
				s.serve(t, "finite", transport.WithMuxes(&finite.Muxer{Muxer: m, Streams: 100, Reserve: reserve}))
				opts := append([]transport.ClientOption{transport.WithCarriers(s.network), transport.WithMuxes(m)}, opts...)
				lis, err := transport.DialAndListenContext(t.Context(), "mem://finite", http.Header{"Deviceid": {"1"}}, opts...)
				if err != nil {
					t.Fatal(err)
				}
				defer lis.Close()
				go answer(lis, "device")
				test(t, s)
			})
		})
	}
}

// TestExhausting dials a client whose session runs out of stream ids: each Dial reaches the
// client, in that session or the next, also if the last id is used before there is another.
func TestExhausting(t *testing.T) {
	for name, reserve := range map[string]int{"in time": 50, "with the last": 0} {
		t.Run(name, func(t *testing.T) {
			exhausts(t, reserve, func(t *testing.T, s *site) {
				began := time.Now()
				for range 300 {
					s.reaches(t, "1", "device")
				}
				if took := time.Since(began); took > time.Minute {
					t.Errorf("the client was away for %v", took)
				}
			}, transport.WithReconnect(transport.Backoff{}))
		})
	}
}

// In TestExhausted a client does not come back. The fleet does not dial it any more, and open
// connections go on.
func TestExhausted(t *testing.T) {
	exhausts(t, 50, func(t *testing.T, s *site) {
		running, _ := s.dial(t, "1")
		for range 99 {
			s.reaches(t, "1", "device")
		}
		_, err := s.TryDial(t.Context(), "1")
		_, missing := errors.AsType[*fleet.NotConnectedError](err)
		if !missing || !errors.Is(err, transport.ErrDraining) || !errors.Is(err, mux.ErrGoAway) {
			t.Errorf("dial: %v, want fleet.NotConnectedError because of transport.ErrDraining and mux.ErrGoAway", err)
		}
		synctest.Wait()
		if s.Draining() != 1 {
			t.Error("the session did not wait for the connection in use")
		}
		running.Close()
		synctest.Wait()
		if s.Draining() != 0 {
			t.Error("the session goes on with no connection in use")
		}
	})
}
