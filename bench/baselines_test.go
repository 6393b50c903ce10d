package bench

import (
	"crypto/tls"
	"io"
	"net"

	"github.com/hashicorp/yamux"
	"github.com/xtaci/smux"

	"github.com/backdial/backdial/bench/harness"
)

// baselines are the parts of this library, and its ancestor.
func baselines() []harness.Subject {
	perStream := map[string]string{
		"BenchmarkSessionSetup":         "has no sessions",
		"BenchmarkSessionSetupAtOnce":   "has no sessions",
		"BenchmarkSessionSetupAndClose": "has no sessions",
		"BenchmarkIdleSessions":         "has no sessions",
		"BenchmarkQuiet":                "has no sessions",
		"BenchmarkIdleStreams":          "takes more sockets than a process may have",
	}
	return []harness.Subject{
		{Name: "carrier=tcp/mux=none", Serve: serveTCP, Skip: perStream},
		{Name: "carrier=tls/mux=none", Serve: serveTLS, Skip: perStream},
		{Name: "carrier=tcp/mux=hashicorp-yamux", Serve: harness.OverTCP(bareYamux)},
		{Name: "carrier=tcp/mux=xtaci-smux", Serve: harness.OverTCP(bareSmux)},
		wslis.Subject(),
		webTransportGo.Subject(),
	}
}

// serveTCP makes a connection for each stream; the client listens for them.
func serveTCP(t harness.TB) func() (*harness.Session, error) {
	return func() (*harness.Session, error) {
		ln, err := net.Listen("tcp", net.JoinHostPort(t.Host(), "0"))
		if err != nil {
			return nil, err
		}
		addr := t.Reach("tcp", ln.Addr().String())
		return &harness.Session{
			Dial:   func() (net.Conn, error) { return net.Dial("tcp", addr) },
			Accept: ln.Accept,
			Close:  func() { ln.Close() },
		}, nil
	}
}

// serveTLS is serveTCP with TLS.
func serveTLS(t harness.TB) func() (*harness.Session, error) {
	present, trust := harness.ServerTLS(), harness.ClientTLS()
	return func() (*harness.Session, error) {
		ln, err := net.Listen("tcp", net.JoinHostPort(t.Host(), "0"))
		if err != nil {
			return nil, err
		}
		addr := t.Reach("tcp", ln.Addr().String())
		return &harness.Session{
			Dial: func() (net.Conn, error) { return tls.Dial("tcp", addr, trust) },
			Accept: func() (net.Conn, error) {
				c, err := ln.Accept()
				if err != nil {
					return nil, err
				}
				secured := tls.Server(c, present)
				go secured.Handshake() // Dial waits for it; Accept must not, because others dial too
				return secured, nil
			},
			Close: func() { ln.Close() },
		}, nil
	}
}

// bareYamux is hashicorp/yamux with its defaults.
func bareYamux(server, client net.Conn) (*harness.Session, error) {
	dial, err := yamuxServer(server)
	if err != nil {
		return nil, err
	}
	listen, err := yamuxClient(client)
	if err != nil {
		return nil, err
	}
	return harness.Join(dial, listen), nil
}

func yamuxServer(conn io.ReadWriteCloser) (*harness.Server, error) {
	s, err := yamux.Client(conn, yamuxConfig()) // in yamux, the client is the end that dials
	if err != nil {
		return nil, err
	}
	return &harness.Server{Dial: s.Open, Close: func() { s.Close() }}, nil
}

func yamuxClient(conn io.ReadWriteCloser) (*harness.Client, error) {
	s, err := yamux.Server(conn, yamuxConfig())
	if err != nil {
		return nil, err
	}
	return &harness.Client{Accept: s.Accept, Close: func() { s.Close() }}, nil
}

func yamuxConfig() *yamux.Config {
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard
	return config
}

// bareSmux is xtaci/smux, protocol version 2, with its defaults, except for the window of
// a stream: the default is a quarter of the other subjects' windows.
func bareSmux(server, client net.Conn) (*harness.Session, error) {
	config := smux.DefaultConfig()
	config.Version = 2
	config.MaxStreamBuffer = 256 << 10
	dial, err := smux.Client(server, config)
	if err != nil {
		return nil, err
	}
	listen, err := smux.Server(client, config)
	if err != nil {
		return nil, err
	}
	return &harness.Session{
		Dial:   func() (net.Conn, error) { return dial.OpenStream() },
		Accept: func() (net.Conn, error) { return listen.AcceptStream() },
		Close:  func() { dial.Close(); listen.Close() },
	}, nil
}
