package transport_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/faultnet"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/transport"
)

// TestWebTransport serves two carriers at one address, of which a network may
// let one pass only.
func TestWebTransport(t *testing.T) {
	leak.Check(t)
	certFile, keyFile, roots := certificate(t)
	trust := transport.WithTLSConfig(&tls.Config{RootCAs: roots})
	dialers := make(chan *transport.Dialer, 1)
	server := serverFunc(t, func(d *transport.Dialer) { dialers <- d },
		transport.WithCarriers(webtransport.New(), ws.New()))
	server.Addr = testnet.FreeAddr(t)
	served := make(chan error, 1)
	go func() { served <- server.ListenAndServeTLS(certFile, keyFile) }()
	awaitListening(t, server.Addr)

	talk := func(addr, by string, opts ...transport.ClientOption) *transport.Listener {
		opts = append(opts, trust, transport.WithHeadStart(2*time.Second))
		lis, err := transport.DialAndListenContext(within(t), "wss://"+addr, nil, opts...)
		if err != nil {
			t.Fatal(err)
		}
		go serveEcho(lis)
		echoes(t, await.From(t, "Dialer", dialers), 100_000)
		if info := lis.Info(); info.Carrier != by {
			t.Errorf("connected by %s, want %s; fallback: %v", info.Carrier, by, info.Fallback)
		}
		return lis
	}
	both := transport.WithCarriers(webtransport.New(), ws.New())
	defer talk(server.Addr, "webtransport", both).Close()
	defer talk(server.Addr, "ws", transport.WithCarriers(ws.New(), webtransport.New())).Close()

	relay := tcpOnly(t, server.Addr)
	fallen := talk(relay, "ws", both)
	defer fallen.Close()
	if err := fallen.Info().Fallback; err == nil {
		t.Error("no reason for the fallback")
	}

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots}}}
	answer, err := client.Get("https://" + server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.Header.Get("Alt-Svc") == "" {
		t.Error("no Alt-Svc in an answer over TCP")
	}

	// A certificate that is not trusted is not a broken path.
	_, err = transport.DialAndListenContext(within(t), "wss://"+server.Addr, nil, both)
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok {
		t.Errorf("error %v, want x509.UnknownAuthorityError", err)
	}
	server.Close()
	if err := await.From(t, "end of ListenAndServeTLS", served); err != transport.ErrServerClosed {
		t.Errorf("ListenAndServeTLS: %v", err)
	}
}

// In TestFallback a network fails for UDP in each possible way.
func TestFallback(t *testing.T) {
	t.Parallel()
	const headStart = 300 * time.Millisecond
	for name, failing := range map[string]struct {
		before   bool // UDP fails before the first packet
		request  bool // it fails when the request has come, after QUIC's handshake
		refused  bool // nothing listens
		remember bool // the failure is known from then on
	}{
		"black hole":           {before: true, remember: true},
		"cut after handshake":  {request: true, remember: true},
		"refused":              {refused: true, remember: true},
		"nothing fails at all": {},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Parallel(t)
			dialers := make(chan *transport.Dialer, 2)
			server := serverFunc(t, func(d *transport.Dialer) { dialers <- d },
				transport.WithCarriers(webtransport.New(), ws.New()))
			certificate, err := webtransport.SelfSigned("127.0.0.1")
			if err != nil {
				t.Fatal(err)
			}
			config := &tls.Config{Certificates: []tls.Certificate{certificate}}
			var requested atomic.Pointer[faultnet.UDP] // which a request freezes
			udp, err := webtransport.New().Listen("127.0.0.1:0", config, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if failing.request {
					requested.Load().Freeze()
				}
				server.ServeHTTP(w, r)
			}))
			if err != nil {
				t.Fatal(err)
			}
			defer udp.Close()
			if failing.refused {
				udp.Close()
			} else {
				go udp.Serve()
			}
			network := testnet.UDP(t, udp.Addr().String(), 0)
			requested.Store(network)
			if failing.before {
				network.Freeze()
			}
			tcp, err := net.Listen("tcp", network.Addr())
			if err != nil {
				t.Skip("the port is not free for TCP:", err)
			}
			go server.Serve(tls.NewListener(tcp, config))

			roots := x509.NewCertPool()
			roots.AddCert(certificate.Leaf)
			var passedOver []string
			started := make(chan string, 10)
			client := transport.NewClient("https://"+network.Addr(), nil,
				transport.WithCarriers(webtransport.New(), ws.New()),
				transport.WithHeadStart(headStart),
				transport.WithTLSConfig(&tls.Config{RootCAs: roots}),
				transport.WithTrace(transport.Trace{
					DialPassedOver: func(by string, _ time.Time, _ error) { passedOver = append(passedOver, by) },
					DialStarted:    func(by string) { started <- by },
				}))
			connect := func() (by string, took time.Duration) {
				began := time.Now()
				lis, err := client.DialAndListenContext(within(t))
				took = time.Since(began)
				if err != nil {
					t.Fatal("dial:", err)
				}
				defer lis.Close()
				go serveEcho(lis)
				info := lis.Info()
				if (info.Fallback != nil) != (info.Carrier == "ws") {
					t.Errorf("by %s, fallback: %v", info.Carrier, info.Fallback)
				}
				for { // one that lost the race may have come first
					d := await.From(t, "Dialer", dialers)
					if d.Info().Carrier == info.Carrier {
						echoes(t, d, 10_000)
						return info.Carrier, took
					}
				}
			}

			by, took := connect()
			if !failing.remember {
				if by != "webtransport" {
					t.Errorf("connected by %s, although UDP works", by)
				}
				return
			}
			// A handshake takes milliseconds here; the rest is for the machine.
			if by != "ws" || took < headStart || took > headStart+2*time.Second {
				t.Errorf("connected by %s in %v, want ws in %v and a little", by, took, headStart)
			}
			if len(passedOver) > 0 {
				t.Errorf("%q passed over before anything was known of them", passedOver)
			}
			for len(started) > 0 {
				<-started
			}
			if by, _ = connect(); by != "ws" {
				t.Errorf("connected again by %s, want ws", by)
			}
			if by := <-started; by != "ws" || len(started) > 0 {
				t.Errorf("%s was tried first, and %d others, want ws alone", by, len(started))
			}
			if len(passedOver) != 1 || passedOver[0] != "webtransport" {
				t.Errorf("%q passed over, want webtransport", passedOver)
			}
		})
	}
}

// tcpOnly is a network that forwards TCP to addr, and swallows UDP.
func tcpOnly(t *testing.T, addr string) string {
	t.Helper()
	network := testnet.TCP(t, addr, 0)
	hole, err := net.ListenPacket("udp", network.Addr())
	if err != nil {
		t.Skip("the port is not free for UDP:", err)
	}
	t.Cleanup(func() { hole.Close() })
	return network.Addr()
}

// In TestStrangersByUDP clients that send no request meet the server's own limits.
func TestStrangersByUDP(t *testing.T) {
	leak.Check(t)
	certFile, keyFile, roots := certificate(t)
	server := serverFunc(t, nil, transport.WithCarriers(webtransport.New(), ws.New()),
		transport.WithHandshakeTimeout(200*time.Millisecond))
	server.Addr = testnet.FreeAddr(t)
	served := make(chan error, 1)
	go func() { served <- server.ListenAndServeTLS(certFile, keyFile) }()
	awaitListening(t, server.Addr)
	stranger, err := quic.DialAddr(within(t), server.Addr, &tls.Config{RootCAs: roots, NextProtos: []string{"h3"}},
		&quic.Config{KeepAlivePeriod: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	await.From(t, "end of a connection without a request", stranger.Context().Done())
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it has ended after %v, want 200 ms or so", took)
	}
	server.Close()
	await.From(t, "end of ListenAndServeTLS", served)
}
