package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/hashicorp/yamux"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	wtgo "github.com/quic-go/webtransport-go"
	"github.com/xtaci/smux"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// A subject is what is measured.
type subject struct {
	name string // such as "carrier=ws/mux=yamux"

	// serve starts a server, to which connect makes sessions, until t is done.
	serve func(t testing.TB) (connect func() (*session, error))
}

// A session is a client that is connected to a server.
type session struct {
	dial   func() (net.Conn, error) // on the server
	accept func() (net.Conn, error) // on the client
	close  func()
}

// start makes one session.
func (s subject) start(t testing.TB) *session {
	t.Helper()
	made, err := s.serve(t)()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(made.close)
	return made
}

// subjects are all that is measured, the baselines first.
func subjects() []subject {
	all := []subject{
		{"carrier=tcp/mux=none", serveRaw(nil)},
		{"carrier=tls/mux=none", serveRaw(certificate)},
		{"carrier=tcp/mux=hashicorp-yamux", serveLibrary(bareYamux)},
		{"carrier=tcp/mux=xtaci-smux", serveLibrary(bareSmux)},
		{"carrier=wslis/mux=yamux", serveWslis},
		{"carrier=webtransport-go/mux=native", serveWebTransportGo},
	}
	for _, c := range []struct {
		name    string
		carrier carrier.Carrier
		tls     bool
	}{
		{"mem", mem.New(), false},
		{"ws", ws.New(), false},
		{"wss", ws.New(), true},
		{"webtransport", webtransport.New(), true},
	} {
		muxes := []mux.Muxer{yamuxmux.New(), smuxmux.New()}
		if _, ok := c.carrier.(carrier.StreamCarrier); ok {
			muxes = append(muxes, nativemux.New())
		}
		for _, m := range muxes {
			all = append(all, subject{"carrier=" + c.name + "/mux=" + m.Name(), serveOurs(c.carrier, m, c.tls)})
		}
	}
	return all
}

// each runs a benchmark for every subject.
func each(b *testing.B, run func(b *testing.B, s subject)) {
	for _, s := range subjects() {
		b.Run(s.name, func(b *testing.B) { run(b, s) })
	}
}

var certificate, roots = func() (*tls.Certificate, *x509.CertPool) {
	c, err := webtransport.SelfSigned("127.0.0.1")
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(c.Leaf)
	return &c, roots
}()

// serverTLS and clientTLS are TLS 1.3 configurations.
func serverTLS() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS13}
}

func clientTLS() *tls.Config {
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}
}

// serveOurs is a combination of this library.
func serveOurs(c carrier.Carrier, m mux.Muxer, secure bool) func(testing.TB) func() (*session, error) {
	return func(t testing.TB) func() (*session, error) {
		dialers := make(chan *transport.Dialer)
		server := transport.NewServer(
			transport.EndpointHandlerFunc(func(d *transport.Dialer) { dialers <- d }),
			transport.WithCarriers(c), transport.WithMuxes(m))
		t.Cleanup(func() { server.Close() })
		var address string
		switch l, ok := c.(carrier.Listener); {
		case ok:
			e, err := l.Listen("127.0.0.1:0", serverTLS(), server)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { e.Close() })
			go e.Serve()
			scheme := map[bool]string{true: "https", false: c.Name()}[secure]
			address = scheme + "://" + e.Addr().String()
		case secure:
			ln, err := tls.Listen("tcp", "127.0.0.1:0", serverTLS())
			if err != nil {
				t.Fatal(err)
			}
			go server.Serve(ln)
			address = "wss://" + ln.Addr().String()
		default:
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			go server.Serve(ln)
			address = "ws://" + ln.Addr().String()
		}
		return func() (*session, error) {
			lis, err := transport.DialAndListenContext(context.Background(), address, nil,
				transport.WithCarriers(c), transport.WithMuxes(m), transport.WithTLSConfig(clientTLS()))
			if err != nil {
				return nil, err
			}
			d := <-dialers
			return &session{d.Dial, lis.Accept, func() { d.Close(); lis.Close() }}, nil
		}
	}
}

// serveRaw has a connection for each stream.
func serveRaw(secured *tls.Certificate) func(testing.TB) func() (*session, error) {
	return func(t testing.TB) func() (*session, error) {
		return func() (*session, error) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return nil, err
			}
			address := ln.Addr().String()
			if secured != nil {
				trust := clientTLS()
				return &session{
					func() (net.Conn, error) { return tls.Dial("tcp", address, trust) },
					func() (net.Conn, error) { return acceptTLS(ln) },
					func() { ln.Close() },
				}, nil
			}
			return &session{func() (net.Conn, error) { return net.Dial("tcp", address) },
				ln.Accept, func() { ln.Close() }}, nil
		}
	}
}

// acceptTLS accepts a connection that is ready for use: the one who dials waits
// for that.
func acceptTLS(ln net.Listener) (net.Conn, error) {
	c, err := ln.Accept()
	if err != nil {
		return nil, err
	}
	secured := tls.Server(c, serverTLS())
	return secured, secured.Handshake()
}

// serveLibrary is a multiplexing library on a TCP connection.
func serveLibrary(mux func(dial, listen io.ReadWriteCloser) (*session, error)) func(testing.TB) func() (*session, error) {
	return func(t testing.TB) func() (*session, error) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		return func() (*session, error) {
			client, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				return nil, err
			}
			server, err := ln.Accept()
			if err != nil {
				return nil, err
			}
			return mux(server, client)
		}
	}
}

func bareYamux(dial, listen io.ReadWriteCloser) (*session, error) {
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard
	d, err := yamux.Client(dial, config)
	if err != nil {
		return nil, err
	}
	l, err := yamux.Server(listen, config)
	if err != nil {
		return nil, err
	}
	return &session{d.Open, l.Accept, func() { d.Close(); l.Close() }}, nil
}

func bareSmux(dial, listen io.ReadWriteCloser) (*session, error) {
	config := smux.DefaultConfig()
	config.Version = 2
	d, err := smux.Client(dial, config)
	if err != nil {
		return nil, err
	}
	l, err := smux.Server(listen, config)
	if err != nil {
		return nil, err
	}
	return &session{
		func() (net.Conn, error) { return d.OpenStream() },
		func() (net.Conn, error) { return l.AcceptStream() },
		func() { d.Close(); l.Close() },
	}, nil
}

// serveWslis is gorilla/websocket and yamux in the way of wslis 0.0.2.
func serveWslis(t testing.TB) func() (*session, error) {
	arrived := make(chan *websocket.Conn)
	upgrader := websocket.Upgrader{ReadBufferSize: 1024, WriteBufferSize: 1024}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		arrived <- conn
	}))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.Scheme = "ws"
	return func() (*session, error) {
		client, _, err := new(websocket.Dialer).Dial(u.String(), nil)
		if err != nil {
			return nil, err
		}
		return bareYamux(&messages{Conn: <-arrived}, &messages{Conn: client})
	}
}

// messages are the bytes of a WebSocket, a message for each Write.
type messages struct {
	*websocket.Conn
	r io.Reader
}

func (m *messages) Read(p []byte) (int, error) {
	for {
		if m.r == nil {
			_, r, err := m.NextReader()
			if err != nil {
				return 0, err
			}
			m.r = r
		}
		n, err := m.r.Read(p)
		if err == io.EOF {
			m.r, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (m *messages) Write(p []byte) (int, error) {
	return len(p), m.WriteMessage(websocket.BinaryMessage, p)
}

// serveWebTransportGo is webtransport-go with windows and limits like ours.
func serveWebTransportGo(t testing.TB) func() (*session, error) {
	q := &quic.Config{
		MaxIncomingStreams:               1 << 16,
		InitialStreamReceiveWindow:       512 << 10,
		MaxStreamReceiveWindow:           512 << 10,
		InitialConnectionReceiveWindow:   64 << 20,
		MaxConnectionReceiveWindow:       64 << 20,
		EnableDatagrams:                  true,
		EnableStreamResetPartialDelivery: true,
	}
	arrived := make(chan *wtgo.Session)
	server := &wtgo.Server{}
	server.H3 = &http3.Server{
		TLSConfig:  http3.ConfigureTLSConfig(serverTLS()),
		QUICConfig: q,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, err := server.Upgrade(w, r)
			if err != nil {
				t.Error(err)
				return
			}
			arrived <- s
		}),
	}
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(socket)
	t.Cleanup(func() {
		server.Close()
		socket.Close()
	})
	client := &wtgo.Transport{TLSClientConfig: clientTLS(), QUICConfig: q}
	client.TLSClientConfig.NextProtos = []string{http3.NextProtoH3}
	return func() (*session, error) {
		_, c, err := client.Dial(context.Background(), "https://"+socket.LocalAddr().String(), nil)
		if err != nil {
			return nil, err
		}
		s := <-arrived
		ctx := context.Background()
		return &session{
			func() (net.Conn, error) {
				st, err := s.OpenStreamSync(ctx)
				if err != nil {
					return nil, err
				}
				return streamConn{st, s}, nil
			},
			func() (net.Conn, error) {
				st, err := c.AcceptStream(ctx)
				if err != nil {
					return nil, err
				}
				return streamConn{st, c}, nil
			},
			func() { s.CloseWithError(0, ""); c.CloseWithError(0, "") },
		}, nil
	}
}

// A streamConn is a stream of webtransport-go as a connection.
type streamConn struct {
	*wtgo.Stream
	session *wtgo.Session
}

func (c streamConn) LocalAddr() net.Addr  { return c.session.LocalAddr() }
func (c streamConn) RemoteAddr() net.Addr { return c.session.RemoteAddr() }

func (c streamConn) Close() error {
	c.Stream.Close()
	c.CancelRead(0)
	return nil
}
