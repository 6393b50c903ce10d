package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/internal/test/finite"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// exhausts runs a test with a site whose first session opens three streams, and says so
// when it has opened the first.
func exhausts(t *testing.T, test func(*testing.T, *site, transport.Option)) {
	t.Helper()
	for _, m := range []mux.Muxer{yamuxmux.New(), smuxmux.New()} {
		t.Run(m.Name(), func(t *testing.T) {
			reconnects(t, func(t *testing.T, s *site) {
				s.deploy(t, transport.WithMuxes(&finite.Muxer{Muxer: m, Streams: 3, Reserve: 2}))
				test(t, s, transport.WithMuxes(m))
			})
		})
	}
}

// In TestExhausting a client moves before the stream IDs of its session are used up.
func TestExhausting(t *testing.T) {
	exhausts(t, func(t *testing.T, s *site, muxes transport.Option) {
		lis, _ := s.listen(t, transport.Backoff{}, muxes)
		first := <-s.dialers
		synctest.Wait()
		if first.Moving() {
			t.Error("the client is asked to move before the ids run out")
		}
		far := dialled(t, first, "running")
		near := accepted(t, lis, "running")
		second := <-s.dialers
		synctest.Wait()
		if _, err := first.Dial(); !errors.Is(err, transport.ErrDraining) {
			t.Errorf("dial in the session that was left: %v, want transport.ErrDraining", err)
		}
		dialled(t, second, "new").Close()
		accepted(t, lis, "new").Close()

		time.Sleep(time.Hour)
		if err := first.Err(); err != nil {
			t.Error("the session did not wait for the connection in use:", err)
		}
		io.WriteString(far, ", still")
		far.Close()
		if got, err := io.ReadAll(near); string(got) != ", still" || err != nil {
			t.Errorf("read %q, %v on the connection in use", got, err)
		}
		near.Close()
		<-first.Done()
		if err := first.Err(); !errors.Is(err, transport.EndMoved) {
			t.Errorf("the session ends with %v, want transport.EndMoved", err)
		}
	})
}

// In TestExhaustingWhileAway the client finds no other server for a while. The server can dial
// it meanwhile.
func TestExhaustingWhileAway(t *testing.T) {
	exhausts(t, func(t *testing.T, s *site, muxes transport.Option) {
		lis, _ := s.listen(t, transport.Backoff{}, muxes)
		first := <-s.dialers
		s.answer(status(503, ""))
		for range 3 {
			dialled(t, first, "x").Close()
			accepted(t, lis, "x").Close()
			time.Sleep(time.Minute)
			if !first.Moving() {
				t.Error("the client is not said to move")
			}
		}
		if _, err := first.Dial(); !errors.Is(err, transport.ErrDraining) || !errors.Is(err, mux.ErrGoAway) {
			t.Errorf("dial without ids: %v, want transport.ErrDraining and mux.ErrGoAway", err)
		}
		<-first.Done()
		s.answer(nil)
		dialled(t, <-s.dialers, "again").Close()
		accepted(t, lis, "again").Close()
	})
}

// In TestExhaustingStays a client cannot move. The server dials it until the IDs are used up,
// and the session ends after its connections.
func TestExhaustingStays(t *testing.T) {
	exhausts(t, func(t *testing.T, s *site, muxes transport.Option) {
		lis, err := transport.DialAndListenContext(t.Context(), "mem://server", nil, transport.WithCarriers(s.network), muxes)
		if err != nil {
			t.Fatal(err)
		}
		defer lis.Close()
		d := <-s.dialers
		var far, near [3]net.Conn
		for i := range far {
			far[i], near[i] = dialled(t, d, "x"), accepted(t, lis, "x")
			time.Sleep(time.Hour)
			if d.Moving() {
				t.Error("a client that stays is said to move")
			}
		}
		if _, err := d.Dial(); !errors.Is(err, transport.ErrDraining) || !errors.Is(err, mux.ErrGoAway) {
			t.Errorf("dial without ids: %v, want transport.ErrDraining and mux.ErrGoAway", err)
		}
		time.Sleep(time.Hour)
		if err := d.Err(); err != nil {
			t.Fatal("the session did not wait for the connections in use:", err)
		}
		for i := range far {
			far[i].Close()
			near[i].Close()
		}
		<-lis.Done()
		<-d.Done()
	})
}

// TestCloseWhileExhausting closes a server whose client is about to move, or stays. Close
// returns, and so does Shutdown.
func TestCloseWhileExhausting(t *testing.T) {
	for name, end := range map[string]func(*transport.Server) error{
		"Close":    (*transport.Server).Close,
		"Shutdown": func(s *transport.Server) error { return s.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			exhausts(t, func(t *testing.T, s *site, muxes transport.Option) {
				lis, _ := s.listen(t, transport.Backoff{}, muxes)
				d := <-s.dialers
				s.answer(status(503, ""))
				dialled(t, d, "x").Close()
				accepted(t, lis, "x").Close()
				time.Sleep(time.Minute)
				if err := end(s.current()); err != nil {
					t.Error(err)
				}
				<-d.Done()
			})
		})
	}
}
