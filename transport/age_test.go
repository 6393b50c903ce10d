package transport_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

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
