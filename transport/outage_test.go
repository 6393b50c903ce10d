package transport_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/transport"
)

// In TestBackAfterOutage a server of 20 clients goes away. When it is back, they come within
// the time that it was away, plus Backoff.Min, or within Backoff.Max if that is less.
func TestBackAfterOutage(t *testing.T) {
	const clients, rounds = 20, 10 // waits are random
	for _, test := range []struct{ away, within time.Duration }{
		{0, 500 * time.Millisecond},
		{time.Second, 1500 * time.Millisecond},
		{5 * time.Second, 5500 * time.Millisecond},
		{20 * time.Second, 20500 * time.Millisecond},
		{5 * time.Minute, 30 * time.Second},
	} {
		t.Run(fmt.Sprint(test.away), func(t *testing.T) {
			reconnects(t, func(t *testing.T, s *site) {
				var dialers []*transport.Dialer
				for range clients {
					s.listen(t, transport.Backoff{})
					dialers = append(dialers, <-s.dialers)
				}
				for range rounds {
					time.Sleep(time.Minute) // they are stable
					s.answer(status(http.StatusBadGateway, ""))
					for _, d := range dialers {
						d.Close()
					}
					time.Sleep(test.away)
					s.answer(nil)
					began := time.Now()
					for i := range dialers {
						dialers[i] = <-s.dialers
					}
					if took := time.Since(began); took > test.within {
						t.Errorf("the last client is back after %v, want %v at most", took, test.within)
					}
				}
			})
		})
	}
}

// In TestBackAfterOutages a server goes away for 5 s a few times in a row, before its sessions
// are stable. Its clients come back as soon as after the first time.
func TestBackAfterOutages(t *testing.T) {
	const clients, outages = 20, 3 // with more, sessions that are short count
	reconnects(t, func(t *testing.T, s *site) {
		var dialers []*transport.Dialer
		for range clients {
			s.listen(t, transport.Backoff{})
			dialers = append(dialers, <-s.dialers)
		}
		for range outages {
			time.Sleep(3 * time.Second)
			s.answer(status(http.StatusBadGateway, ""))
			for _, d := range dialers {
				d.CloseWithReason("crash")
			}
			time.Sleep(5 * time.Second)
			s.answer(nil)
			began := time.Now()
			for i := range dialers {
				dialers[i] = <-s.dialers
			}
			if took := time.Since(began); took > 5500*time.Millisecond {
				t.Errorf("the last client is back after %v, want 5.5 s at most", took)
			}
		}
	})
}

// TestQuickDeploys deploys a server again and again, every 5 s: its clients do not wait
// longer each time, also if each move succeeds only at the second attempt.
func TestQuickDeploys(t *testing.T) {
	const deploys, spread = 50, 100 * time.Millisecond
	for _, failures := range []int{0, 1} {
		t.Run(fmt.Sprint(failures, " failures each"), func(t *testing.T) {
			reconnects(t, func(t *testing.T, s *site) {
				s.deploy(t, transport.WithDrainSpread(spread))
				_, told := s.listen(t, transport.Backoff{})
				<-s.dialers
				for range deploys {
					time.Sleep(5 * time.Second)
					synctest.Wait()
					told.take()
					left := failures
					s.answer(func(w http.ResponseWriter, r *http.Request) {
						if left--; left < 0 {
							s.current().ServeHTTP(w, r)
							return
						}
						status(http.StatusBadGateway, "")(w, r)
					})
					done := shutdown(t.Context(), s.deploy(t, transport.WithDrainSpread(spread)))
					<-s.dialers
					if err := <-done; err != nil {
						t.Error("shutdown:", err)
					}
					for _, c := range told.take() {
						if c.Err == nil && c.Wait > spread {
							t.Errorf("the client waits for %v, although its server asks for %v at most", c.Wait, spread)
						} else if c.Err != nil && (c.Wait > 500*time.Millisecond || c.Attempt != 1) {
							t.Errorf("the client waits for %v before attempt %d, although its server was well", c.Wait, c.Attempt)
						}
					}
				}
			})
		})
	}
}

// TestQuickRestarts stops a server and starts it again, every 5 s: its clients do not wait
// longer each time. A server that crashes makes them wait, and so does one that closes their
// sessions at once, or for a reason.
func TestQuickRestarts(t *testing.T) {
	const restarts = 20
	for _, test := range []struct {
		name  string
		lasts time.Duration
		end   func(*testing.T, *site, *transport.Dialer, *cuttable)
		waits bool
	}{
		{"closed", 5 * time.Second, func(t *testing.T, s *site, _ *transport.Dialer, _ *cuttable) { s.deploy(t).Close() }, false},
		{"closed at once", 0, func(t *testing.T, s *site, _ *transport.Dialer, _ *cuttable) { s.deploy(t).Close() }, true},
		{"for a reason", 5 * time.Second, func(_ *testing.T, _ *site, d *transport.Dialer, _ *cuttable) { d.CloseWithReason("replaced") }, true},
		{"crashed", 5 * time.Second, func(_ *testing.T, _ *site, _ *transport.Dialer, c *cuttable) { c.latest.Close() }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			reconnects(t, func(t *testing.T, s *site) {
				network := &cuttable{Carrier: s.network}
				_, told := s.listen(t, transport.Backoff{}, transport.WithCarriers(network))
				var longest time.Duration
				for range restarts {
					d := <-s.dialers
					time.Sleep(test.lasts)
					synctest.Wait()
					test.end(t, s, d, network)
				}
				<-s.dialers
				for _, c := range told.take() {
					longest = max(longest, c.Wait)
				}
				if waits := longest > 500*time.Millisecond; waits != test.waits {
					t.Errorf("the client waits for up to %v", longest)
				}
			})
		})
	}
}

// A cuttable carrier knows its latest connection.
type cuttable struct {
	*mem.Carrier
	latest carrier.Conn
}

func (c *cuttable) Dial(ctx context.Context, r *carrier.Request) (conn carrier.Conn, err error) {
	conn, err = c.Carrier.Dial(ctx, r)
	if err == nil {
		c.latest = conn
	}
	return conn, err
}
