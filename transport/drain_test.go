package transport_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// In TestDialWhileDrained a Dial waits for the client to accept when the drain begins.
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

// In TestDialUntilMoved the server dials a client all the time while it shuts down. Each Dial
// succeeds, in one session or the other.
func TestDialUntilMoved(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		s.deploy(t, transport.WithDrainSpread(time.Minute))
		lis, _ := s.listen(t, transport.Backoff{})
		go func() {
			for c, err := lis.Accept(); err == nil; c, err = lis.Accept() {
				c.Close()
			}
		}()
		d := <-s.dialers
		done := shutdown(t.Context(), s.deploy(t))
		for dials, moved := 0, false; !moved; dials++ {
			c, err := d.Dial()
			if errors.Is(err, transport.ErrDraining) || errors.Is(err, net.ErrClosed) {
				select {
				case d = <-s.dialers:
					moved = true
				default:
					t.Fatalf("after %d dials the client is in no session: %v", dials, err)
				}
				c, err = d.Dial()
			}
			if err != nil {
				t.Fatal("dial:", err)
			}
			c.Close()
			time.Sleep(time.Millisecond)
		}
		if err := <-done; err != nil {
			t.Error("shutdown:", err)
		}
	})
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

// In TestListenerLeaves the client shuts down, and the server knows.
func TestListenerLeaves(t *testing.T) {
	for _, m := range []mux.Muxer{yamuxmux.New(), smuxmux.New(), qmux.New()} {
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
