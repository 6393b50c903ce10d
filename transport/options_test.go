package transport_test

import (
	"net"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// A configured muxer tells with which limits its sessions are made.
type configured struct {
	mux.Muxer
	dial, listen chan mux.Config
}

func (m configured) DialSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	m.dial <- config
	return m.Muxer.DialSide(conn, config)
}

func (m configured) ListenSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	m.listen <- config
	return m.Muxer.ListenSide(conn, config)
}

// TestLimits has options arrive at the sessions, in either order.
func TestLimits(t *testing.T) {
	const interval, timeout = 7 * time.Second, 3 * time.Second
	limits := transport.WithLimits(mux.Config{Window: 1 << 20, KeepAlive: time.Hour})
	keepAlive := transport.WithKeepAlive(interval, timeout)
	for _, opts := range [][]transport.Option{{limits, keepAlive}, {keepAlive, limits}} {
		leak.Check(t)
		m := configured{yamuxmux.New(), make(chan mux.Config, 1), make(chan mux.Config, 1)}
		d := newDoorway(t, append(serverOptions(opts), transport.WithMuxes(m))...)
		lis, err := transport.DialAndListenContext(t.Context(), "mem://server", nil,
			append(clientOptions(opts), transport.WithMuxes(m), transport.WithCarriers(d.network))...)
		if err != nil {
			t.Fatal(err)
		}
		defer lis.Close()
		for _, c := range []mux.Config{<-m.dial, <-m.listen} {
			if c.KeepAlive != interval || c.KeepAliveTimeout != timeout || c.Window != 1<<20 {
				t.Errorf("limits %+v", c)
			}
		}
	}
}

func serverOptions(opts []transport.Option) (all []transport.ServerOption) {
	for _, o := range opts {
		all = append(all, o)
	}
	return all
}

func clientOptions(opts []transport.Option) (all []transport.ClientOption) {
	for _, o := range opts {
		all = append(all, o)
	}
	return all
}
