package bench

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"

	"github.com/backdial/backdial/bench/harness"
	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/hashicorpyamux"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/xtacismux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// combinations are every carrier with every multiplexer that works on it.
func combinations() []harness.Subject {
	var all []harness.Subject
	for _, c := range []struct {
		name    string
		carrier carrier.Carrier
		secure  bool
	}{
		{"mem", mem.New(), false},
		{"ws", ws.New(), false},
		{"wss", ws.New(), true},
		{"webtransport", webtransport.New(), true},
	} {
		muxes := []mux.Muxer{yamuxmux.New(), smuxmux.New(), qmux.New()}
		if _, ok := c.carrier.(carrier.StreamCarrier); ok {
			muxes = append(muxes, nativemux.New())
		}
		if c.name == "ws" { // once, beside the bare libraries
			muxes = append(muxes, hashicorpyamux.New(), xtacismux.New())
		}
		for _, m := range muxes {
			subject := combine(c.name, c.carrier, m, c.secure).Subject()
			if c.name == "mem" {
				subject.Skip = map[string]string{"BenchmarkDistance": "has no network"}
			}
			all = append(all, subject)
		}
	}
	return all
}

// combine is this library with a carrier and a multiplexer.
func combine(name string, c carrier.Carrier, m mux.Muxer, secure bool) harness.Apart {
	carriers, muxes := transport.WithCarriers(c), transport.WithMuxes(m)
	return harness.Apart{
		Name: "carrier=" + name + "/mux=" + m.Name(),
		Listen: func(t harness.TB) (string, func() (*harness.Server, error)) {
			dialers := make(chan *transport.Dialer, 1) // of the client that connects
			server := transport.NewServer(
				transport.EndpointHandlerFunc(func(d *transport.Dialer) { dialers <- d }), carriers, muxes)
			t.Cleanup(func() { server.Close() })
			address, err := listen(t, server, c, secure)
			if err != nil {
				t.Fatal(err)
			}
			return address, func() (*harness.Server, error) {
				d := <-dialers
				return &harness.Server{
					Dial:      d.Dial,
					Close:     func() { d.Close() },
					Transport: func() harness.Transport { return fleetOf(d) },
				}, nil
			}
		},
		Connect: func(addr string) (*harness.Client, error) {
			client, err := transport.DialAndListenContext(context.Background(), addr, nil,
				carriers, muxes, transport.WithTLSConfig(harness.ClientTLS()))
			if err != nil {
				return nil, err
			}
			return &harness.Client{Accept: client.Accept, Close: func() { client.Close() }}, nil
		},
	}
}

// fleetOf returns a transport that sends all requests to the client of d.
func fleetOf(d *transport.Dialer) *fleet.Transport {
	f := fleet.New(func(*http.Request) (string, error) { return "client", nil })
	f.HandleEndpoint(d)
	return f.Transport()
}

// listen makes server serve clients of the carrier c until t is done, and returns the
// address for them.
func listen(t harness.TB, server *transport.Server, c carrier.Carrier, secure bool) (address string, err error) {
	if l, ok := c.(carrier.Listener); ok {
		e, err := l.Listen(net.JoinHostPort(t.Host(), "0"), harness.ServerTLS(), server)
		if err != nil {
			return "", err
		}
		t.Cleanup(func() { e.Close() })
		go e.Serve()
		if secure {
			return "https://" + t.Reach("udp", e.Addr().String()), nil
		}
		return c.Name() + "://" + e.Addr().String(), nil
	}
	ln := harness.Listen(t)
	address = t.Reach("tcp", ln.Addr().String())
	if secure {
		go server.Serve(tls.NewListener(ws.BelowTLS(ln), harness.ServerTLS()))
		return "wss://" + address, nil
	}
	go server.Serve(ln)
	return "ws://" + address, nil
}
