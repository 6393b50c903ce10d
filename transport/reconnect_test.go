package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

// TestReconnect loses sessions: Accept goes on, and streams of a lost session end
// with an error.
func TestReconnect(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		lis, told := s.listen(t, transport.Backoff{})
		accepted := make(chan net.Conn)
		go func() {
			for {
				c, err := lis.Accept()
				if err != nil {
					close(accepted)
					return
				}
				accepted <- c
			}
		}()
		for range 3 {
			d := <-s.dialers
			far, err := d.Dial()
			if err != nil {
				t.Fatal(err)
			}
			near := <-accepted
			far.Write([]byte("hello"))
			d.Close()
			if got, err := io.ReadAll(near); string(got) != "hello" || !errors.Is(err, mux.ErrSessionEnded) {
				t.Errorf("read %q, %v; want all that was written, and mux.ErrSessionEnded", got, err)
			}
		}
		<-s.dialers
		synctest.Wait()
		want := []transport.State{connected, waiting, connecting, connected, waiting, connecting, connected, waiting, connecting, connected}
		if got := told.states(); !slices.Equal(got, want) {
			t.Errorf("states %v, want %v", got, want)
		}
		lis.Close()
		if _, ok := <-accepted; ok {
			t.Error("Accept returned a connection after Close")
		}
		if err := lis.Err(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("error %v, want net.ErrClosed", err)
		}
		if got, want := told.states(), []transport.State{ended}; !slices.Equal(got, want) {
			t.Errorf("states %v, want %v", got, want)
		}
	})
}

// TestWithoutReconnect loses the only session.
func TestWithoutReconnect(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		told := new(changes)
		lis, err := transport.DialAndListenContext(t.Context(), "mem://server", nil, transport.WithCarriers(s.network), transport.WithTrace(told.trace()))
		if err != nil {
			t.Fatal(err)
		}
		(<-s.dialers).Close()
		if _, err := lis.Accept(); !errors.Is(err, mux.ErrSessionEnded) {
			t.Errorf("accept: %v, want mux.ErrSessionEnded", err)
		}
		<-lis.Done()
		if got, want := told.states(), []transport.State{connected, ended}; !slices.Equal(got, want) {
			t.Errorf("states %v, want %v", got, want)
		}
		if n := s.count(); n != 1 {
			t.Errorf("connected %d times", n)
		}
	})
}

// In TestBackoff a server refuses for a while. Waits are random, up to a bound that doubles,
// and start again only after a stable session.
func TestBackoff(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		b := transport.Backoff{Min: time.Second, Max: 8 * time.Second, Stable: time.Minute}
		_, told := s.listen(t, b)
		check := func(what string, attempt int, bounds ...time.Duration) {
			t.Helper()
			waits := slices.DeleteFunc(told.take(), func(c transport.StateChange) bool { return c.To != waiting })
			if len(waits) != len(bounds) {
				t.Fatalf("%s: waits %v, want %d", what, waits, len(bounds))
			}
			for i, c := range waits {
				if c.Wait < 0 || c.Wait >= bounds[i]*time.Second || c.Attempt != attempt+i {
					t.Errorf("%s: waits %v before attempt %d, want less than %d s before attempt %d",
						what, c.Wait, c.Attempt, bounds[i], attempt+i)
				}
			}
		}
		failures := 0
		s.answer(func(w http.ResponseWriter, r *http.Request) {
			if failures++; failures == 5 {
				s.answer(nil)
			}
			status(http.StatusServiceUnavailable, "")(w, r)
		})
		(<-s.dialers).Close()
		d := <-s.dialers
		check("a server that is away", 1, 1, 2, 4, 8, 8, 8)
		d.Close()
		d = <-s.dialers
		check("a session that was not stable", 7, 8)
		time.Sleep(time.Minute)
		d.Close()
		<-s.dialers
		check("a session that was stable", 1, 1)
	})
}

// In TestJitter many clients lose their server. They come back spread out.
func TestJitter(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		const clients, parts = 100, 4
		for range clients {
			s.listen(t, transport.Backoff{Min: parts * time.Second})
		}
		for range clients {
			(<-s.dialers).Close()
		}
		began := time.Now()
		var arrived [parts]int
		for range clients {
			<-s.dialers
			arrived[time.Since(began)/time.Second]++
		}
		for i, n := range arrived {
			if n < clients/parts/4 {
				t.Errorf("%d clients in second %d, of %v", n, i, arrived)
			}
		}
	})
}

// In TestRetryAfter a server says when to come again.
func TestRetryAfter(t *testing.T) {
	for _, test := range []struct {
		name     string
		header   func() string
		from, to time.Duration
	}{
		{"seconds", func() string { return "90" }, 90 * time.Second, 91 * time.Second},
		{"a date", func() string { return time.Now().Add(2 * time.Minute).UTC().Format(http.TimeFormat) },
			119 * time.Second, 121 * time.Second},
		{"too long", func() string { return "1000000000" }, time.Hour, time.Hour + time.Second},
		{"nonsense", func() string { return "soon" }, 0, time.Second},
		{"the past", func() string { return "Sun, 06 Nov 1994 08:49:37 GMT" }, 0, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			reconnects(t, func(t *testing.T, s *site) {
				_, told := s.listen(t, transport.Backoff{Min: time.Second, Max: time.Second})
				s.answer(func(w http.ResponseWriter, r *http.Request) {
					s.answer(nil)
					status(http.StatusServiceUnavailable, test.header())(w, r)
				})
				(<-s.dialers).Close()
				<-s.dialers
				for _, c := range told.take() {
					if c.To == waiting && c.Attempt == 2 && (c.Wait < test.from || c.Wait > test.to) {
						t.Errorf("wait of %v, want %v to %v", c.Wait, test.from, test.to)
					}
				}
			})
		})
	}
}

// In TestRetryAfterOfAnotherClock a server's clock is wrong, and its Retry-After is a date.
// The answer's Date tells how long that is.
func TestRetryAfterOfAnotherClock(t *testing.T) {
	for name, date := range map[string]func(now time.Time) string{
		"right":       func(now time.Time) string { return now.UTC().Format(http.TimeFormat) },
		"late":        func(now time.Time) string { return now.Add(-24 * time.Hour).UTC().Format(http.TimeFormat) },
		"ahead":       func(now time.Time) string { return now.Add(time.Hour).UTC().Format(http.TimeFormat) },
		"not a clock": func(time.Time) string { return "today" },
	} {
		t.Run(name, func(t *testing.T) {
			reconnects(t, func(t *testing.T, s *site) {
				_, told := s.listen(t, transport.Backoff{Min: time.Second, Max: time.Second})
				s.answer(func(w http.ResponseWriter, r *http.Request) {
					s.answer(nil)
					date := date(time.Now())
					w.Header().Set("Date", date)
					sent, err := http.ParseTime(date)
					if err != nil {
						sent = time.Now()
					}
					status(http.StatusServiceUnavailable, sent.Add(8*time.Second).UTC().Format(http.TimeFormat))(w, r)
				})
				(<-s.dialers).Close()
				<-s.dialers
				for _, c := range told.take() {
					if c.To == waiting && c.Attempt == 2 && (c.Wait < 7*time.Second || c.Wait > 9*time.Second) {
						t.Errorf("wait of %v, want 8 s and up to 1 s at random", c.Wait)
					}
				}
			})
		})
	}
}

// TestFreshRequest makes header and URL afresh for each attempt, and goes on after
// 401.
func TestFreshRequest(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		attempts := 0
		s.listen(t, transport.Backoff{},
			transport.WithHeaderFunc(func(context.Context) (http.Header, error) {
				attempts++
				if attempts == 3 {
					return nil, errors.New("no token")
				}
				return http.Header{"Token": {fmt.Sprint(attempts)}}, nil
			}),
			transport.WithURLFunc(func(context.Context) (string, error) { return fmt.Sprintf("mem://server/%d", attempts), nil }),
			transport.WithRetry(func(error) bool { return true }))
		s.answer(func(w http.ResponseWriter, r *http.Request) {
			s.answer(nil)
			status(http.StatusUnauthorized, "")(w, r)
		})
		(<-s.dialers).Close()
		d := <-s.dialers
		if token := d.Header.Get("Token"); token != "4" {
			t.Errorf("token %q, want that of attempt 4: after 401, and one that failed", token)
		}
		if d.URL.Path != "/3" { // which is made before the token
			t.Errorf("path %q, want that of attempt 4", d.URL.Path)
		}
	})
}

// TestFirstSession waits for a server that is not there yet, as long as the context
// lets it.
func TestFirstSession(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		s.answer(status(http.StatusBadGateway, ""))
		go func() {
			time.Sleep(5 * time.Second)
			s.answer(nil)
		}()
		s.listen(t, transport.Backoff{Max: time.Second})
		<-s.dialers

		s.answer(status(http.StatusBadGateway, ""))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		_, err := transport.DialAndListenContext(ctx, "mem://server", nil,
			transport.WithCarriers(s.network), transport.WithReconnect(transport.Backoff{}))
		_, rejected := errors.AsType[*carrier.RejectedError](err)
		if !errors.Is(err, context.DeadlineExceeded) || !rejected {
			t.Errorf("error %v, want context.DeadlineExceeded and the last refusal", err)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// TestShutdownWaits drains a listener.
func TestShutdownWaits(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		lis, told := s.listen(t, transport.Backoff{})
		far, err := (<-s.dialers).Dial()
		if err != nil {
			t.Fatal(err)
		}
		near, err := lis.Accept()
		if err != nil {
			t.Fatal(err)
		}
		shut := make(chan error, 1)
		go func() { shut <- lis.Shutdown(t.Context()) }()
		synctest.Wait()
		if got, want := told.states(), []transport.State{connected, draining}; !slices.Equal(got, want) {
			t.Errorf("states %v, want %v", got, want)
		}
		far.Close()
		near.Close()
		if err := <-shut; err != nil {
			t.Error(err)
		}
		if got, want := told.states(), []transport.State{ended}; !slices.Equal(got, want) {
			t.Errorf("states %v, want %v", got, want)
		}
	})
}

// A tardyCarrier dials in its own time.
type tardyCarrier struct {
	*mem.Carrier
	mu    sync.Mutex
	dials int
}

func (c *tardyCarrier) Dial(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
	c.mu.Lock()
	c.dials++
	first := c.dials == 1
	c.mu.Unlock()
	if !first {
		time.Sleep(time.Minute)
	}
	return c.Carrier.Dial(context.WithoutCancel(ctx), r)
}

// TestSessionAfterClose makes a session after Close was called.
func TestSessionAfterClose(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		lis, told := s.listen(t, transport.Backoff{}, transport.WithCarriers(&tardyCarrier{Carrier: s.network}))
		(<-s.dialers).Close()
		time.Sleep(30 * time.Second) // in the middle of the second attempt
		lis.Close()
		d := <-s.dialers
		<-d.Done()
		if got, want := told.states(), []transport.State{connected, waiting, connecting, ended}; !slices.Equal(got, want) {
			t.Errorf("states %v, want %v", got, want)
		}
	})
}

// ends are the ways to end a listener.
var ends = []struct {
	name string
	call func(*transport.Listener) error
}{
	{"Close", (*transport.Listener).Close},
	{"Shutdown", func(l *transport.Listener) error { return l.Shutdown(context.Background()) }},
}

// TestCloseWhileReconnecting closes a listener in each of its states.
func TestCloseWhileReconnecting(t *testing.T) {
	for _, end := range ends {
		for _, when := range []time.Duration{0, time.Nanosecond, time.Minute} {
			t.Run(fmt.Sprint(end.name, " after ", when), func(t *testing.T) {
				reconnects(t, func(t *testing.T, s *site) {
					lis, _ := s.listen(t, transport.Backoff{Min: time.Second, Max: time.Second})
					s.answer(func(_ http.ResponseWriter, r *http.Request) { // a black hole
						<-r.Context().Done()
					})
					accepted := make(chan error, 1)
					go func() {
						_, err := lis.Accept()
						accepted <- err
					}()
					(<-s.dialers).Close()
					time.Sleep(when)
					began := time.Now()
					if err := end.call(lis); err != nil {
						t.Error(err)
					}
					if took := time.Since(began); took > 3*time.Second {
						t.Errorf("took %v", took)
					}
					if err := <-accepted; !errors.Is(err, net.ErrClosed) {
						t.Errorf("accept: %v, want net.ErrClosed", err)
					}
					<-lis.Done()
					n := s.count()
					time.Sleep(time.Hour)
					if more := s.count() - n; more != 0 {
						t.Errorf("%d attempts after the end", more)
					}
				})
			})
		}
	}
}
