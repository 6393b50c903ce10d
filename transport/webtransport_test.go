package transport_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/leak"
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
	server.Addr = freeAddr(t)
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
		echoes(t, await(t, "Dialer", dialers), 100_000)
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
	if err := await(t, "end of ListenAndServeTLS", served); err != transport.ErrServerClosed {
		t.Errorf("ListenAndServeTLS: %v", err)
	}
}

// tcpOnly is a network that forwards TCP to addr, and swallows UDP.
func tcpOnly(t *testing.T, addr string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hole, err := net.ListenPacket("udp", ln.Addr().String())
	if err != nil {
		t.Skip("the port is not free for UDP:", err)
	}
	t.Cleanup(func() {
		ln.Close()
		hole.Close()
	})
	go func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				server, err := net.Dial("tcp", addr)
				if err != nil {
					return
				}
				defer server.Close()
				go func() {
					io.Copy(server, client)
					server.Close()
				}()
				io.Copy(client, server)
			}()
		}
	}()
	return ln.Addr().String()
}
