package bench

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	wtgo "github.com/quic-go/webtransport-go"

	"github.com/backdial/backdial/bench/harness"
)

// webTransportGo is webtransport-go with windows and limits like ours.
var webTransportGo = harness.Apart{
	Name: "carrier=webtransport-go/mux=native",
	Listen: func(t harness.TB) (string, func() (*harness.Server, error)) {
		arrived := make(chan *wtgo.Session, 1) // of the client that connects
		server := new(wtgo.Server)
		server.H3 = &http3.Server{
			TLSConfig:  http3.ConfigureTLSConfig(harness.ServerTLS()),
			QUICConfig: quicConfig(),
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s, err := server.Upgrade(w, r)
				if err != nil {
					t.Error(err)
					return
				}
				arrived <- s
			}),
		}
		socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(t.Host())})
		if err != nil {
			t.Fatal(err)
		}
		go server.Serve(socket)
		t.Cleanup(func() {
			server.Close()
			socket.Close()
		})
		return "https://" + t.Reach("udp", socket.LocalAddr().String()), func() (*harness.Server, error) {
			s := <-arrived
			return &harness.Server{
				Dial: func() (net.Conn, error) {
					st, err := s.OpenStreamSync(context.Background())
					if err != nil {
						return nil, err
					}
					return streamConn{st, s}, nil
				},
				Close: func() { s.CloseWithError(0, "") },
			}, nil
		}
	},
	Connect: func(addr string) (*harness.Client, error) {
		client := &wtgo.Transport{TLSClientConfig: harness.ClientTLS(), QUICConfig: quicConfig()}
		client.TLSClientConfig.NextProtos = []string{http3.NextProtoH3}
		_, s, err := client.Dial(context.Background(), addr, nil)
		if err != nil {
			return nil, err
		}
		return &harness.Client{
			Accept: func() (net.Conn, error) {
				st, err := s.AcceptStream(context.Background())
				if err != nil {
					return nil, err
				}
				return streamConn{st, s}, nil
			},
			Close: func() { s.CloseWithError(0, "") },
		}, nil
	},
}

// quicConfig is for both ends, with the defaults of the carrier webtransport.
func quicConfig() *quic.Config {
	return &quic.Config{
		MaxIncomingStreams:               1 << 16,
		InitialStreamReceiveWindow:       512 << 10,
		MaxStreamReceiveWindow:           6 << 20,
		InitialConnectionReceiveWindow:   96 << 20,
		MaxConnectionReceiveWindow:       96 << 20,
		KeepAlivePeriod:                  20 * time.Second,
		EnableDatagrams:                  true,
		EnableStreamResetPartialDelivery: true,
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
