package engine_test

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/engine"
	"github.com/backdial/backdial/transport"
)

// TestExhausting uses up the ids of either side. The session must call OnExhausting once,
// in time, and go on without ids.
func TestExhausting(t *testing.T) {
	sides := map[string]func(d, l mux.Session) (opener, peer mux.Session){
		"dial side":   func(d, l mux.Session) (opener, peer mux.Session) { return d, l },
		"listen side": func(d, l mux.Session) (opener, peer mux.Session) { return l, d },
	}
	each(t, func(t *testing.T, m mux.Muxer) {
		for name, of := range sides {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var said atomic.Int32
					config := mux.Config{OnExhausting: func() { said.Add(1) }}
					a, b := testnet.MemPair(t)
					opener, peer := of(sessions(t, m, a, b, config, config))
					check := func(when string, want int32) {
						t.Helper()
						if synctest.Wait(); said.Load() != want {
							t.Errorf("the session said %d times that its ids run out, %s; want %d", said.Load(), when, want)
						}
					}
					engine.LeaveIDs(opener, engine.Reserve+2)
					early, accepted := stream(t, opener, peer)
					check("before the reserve", 0)
					stream(t, opener, peer)
					check("at its beginning", 1)
					for range 10 {
						stream(t, opener, peer)
					}
					engine.LeaveIDs(opener, 2)
					stream(t, opener, peer)
					last, acceptedLast := stream(t, opener, peer)
					if _, err := opener.Open(t.Context()); !errors.Is(err, mux.ErrGoAway) || errors.Is(err, mux.ErrSessionEnded) {
						t.Errorf("open without ids: %v, want mux.ErrGoAway and not mux.ErrSessionEnded", err)
					}
					check("in all", 1)

					carries(t, early, accepted)
					carries(t, last, acceptedLast)
					theirs, ours := stream(t, peer, opener)
					carries(t, theirs, ours)
				})
			})
		}
	})
}

// carries expects what is written on one end of a stream to arrive at the other.
func carries(t *testing.T, from, to mux.Stream) {
	t.Helper()
	if _, err := io.WriteString(from, "hello"); err != nil {
		t.Error("write:", err)
	}
	from.CloseWrite()
	if got, err := io.ReadAll(to); string(got) != "hello" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}

// TestCloseWhileExhausting closes a session during OnExhausting. Close must wait for it.
func TestCloseWhileExhausting(t *testing.T) {
	each(t, func(t *testing.T, m mux.Muxer) {
		synctest.Test(t, func(t *testing.T) {
			called, proceed, closed := make(chan struct{}), make(chan struct{}), make(chan struct{})
			a, b := testnet.MemPair(t)
			d, l := sessions(t, m, a, b, mux.Config{OnExhausting: func() { close(called); <-proceed }}, mux.Config{})
			engine.LeaveIDs(d, engine.Reserve+1)
			stream(t, d, l)
			<-called
			go func() {
				d.Close()
				close(closed)
			}()
			synctest.Wait()
			select {
			case <-closed:
				t.Error("Close did not wait for OnExhausting")
			default:
			}
			close(proceed)
			<-closed
		})
	})
}

// A nearEnd muxer makes sessions. The first has few ids left.
type nearEnd struct {
	mux.Muxer
	began atomic.Bool
}

func (m *nearEnd) DialSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	s, err := m.Muxer.DialSide(conn, config)
	if err == nil && !m.began.Swap(true) {
		engine.LeaveIDs(s, engine.Reserve+1)
	}
	return s, err
}

// TestMoveBeforeExhausted lets a server move a client whose session runs out of ids.
func TestMoveBeforeExhausted(t *testing.T) {
	each(t, func(t *testing.T, m mux.Muxer) {
		synctest.Test(t, func(t *testing.T) {
			network, dialers := mem.New(), make(chan *transport.Dialer, 2)
			server := transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) { dialers <- d }),
				transport.WithCarriers(network), transport.WithMuxes(&nearEnd{Muxer: m}))
			defer server.Close()
			e, err := network.Listen("server", nil, server)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			go e.Serve()
			lis, err := transport.DialAndListenContext(t.Context(), "mem://server", nil,
				transport.WithCarriers(network), transport.WithMuxes(m), transport.WithReconnect(transport.Backoff{}))
			if err != nil {
				t.Fatal(err)
			}
			defer lis.Close()

			first := <-dialers
			far, err := first.Dial()
			if err != nil {
				t.Fatal("dial:", err)
			}
			second := <-dialers
			<-first.Draining()
			if _, err := second.Dial(); err != nil {
				t.Error("dial in the second session:", err)
			}
			if synctest.Wait(); first.Err() != nil {
				t.Error("the first session did not wait for its connection:", first.Err())
			}
			far.Close()
			<-first.Done()
		})
	})
}
