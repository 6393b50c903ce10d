package bench

import (
	"context"
	"net"
	"net/http"
	"net/url"

	"github.com/backdial/backdial/bench/harness"
	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
)

// halves combine one of this library's layers with another library's layer: comparing
// such a row with the row that has none or both of ours shows what a layer costs.
func halves() []harness.Subject {
	return []harness.Subject{
		{Name: "carrier=tcp/mux=yamux", Serve: harness.OverTCP(muxed(yamuxmux.New()))},
		{Name: "carrier=tcp/mux=smux", Serve: harness.OverTCP(muxed(smuxmux.New()))},
		{Name: "carrier=tcp/mux=qmux", Serve: harness.OverTCP(muxed(qmux.New()))},
		{Name: "carrier=ws/mux=hashicorp-yamux", Serve: overWebSocket(bareYamux)},
		{Name: "carrier=ws/mux=xtaci-smux", Serve: overWebSocket(bareSmux)},
	}
}

// A joiner makes a session from the two ends of a connection.
type joiner = func(server, client net.Conn) (*harness.Session, error)

// muxed joins with m.
func muxed(m mux.Muxer) joiner {
	return func(server, client net.Conn) (*harness.Session, error) {
		dial, err := m.DialSide(server, mux.Config{})
		if err != nil {
			return nil, err
		}
		listen, err := m.ListenSide(client, mux.Config{})
		if err != nil {
			return nil, err
		}
		return &harness.Session{
			Dial:   func() (net.Conn, error) { return dial.Open(context.Background()) },
			Accept: func() (net.Conn, error) { return listen.Accept(context.Background()) },
			Close:  func() { dial.Close(); listen.Close() },
		}, nil
	}
}

// overWebSocket makes connections of the carrier ws.
func overWebSocket(join joiner) harness.Serve {
	return func(t harness.TB) func() (*harness.Session, error) {
		c := ws.New()
		arrived := make(chan net.Conn, 1) // of the client that connects
		addr := harness.ServeHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, err := c.Upgrade(w, r, "")
			if err != nil {
				t.Error(err)
				return
			}
			arrived <- conn
		}), false)
		u := &url.URL{Scheme: "ws", Host: addr}
		return func() (*harness.Session, error) {
			client, err := c.Dial(context.Background(), &carrier.Request{URL: u})
			if err != nil {
				return nil, err
			}
			return join(<-arrived, client)
		}
	}
}
