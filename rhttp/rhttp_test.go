package rhttp_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/rhttp"
	"github.com/backdial/backdial/transport"
)

// A device is a client, and the server's end of it.
type device struct {
	*transport.Dialer
	lis *transport.Listener
}

// newDevice connects a client with nothing but memory in between.
func newDevice(t *testing.T) *device {
	t.Helper()
	dialers := make(chan *transport.Dialer, 1)
	network := mem.New()
	server := transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) { dialers <- d }), transport.WithCarriers(network))
	e, err := network.Listen("server", nil, server)
	if err != nil {
		t.Fatal(err)
	}
	go e.Serve()
	lis, err := transport.DialAndListenContext(t.Context(), "mem://server", nil, transport.WithCarriers(network))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		lis.Close()
		server.Close()
		e.Close()
	})
	return &device{<-dialers, lis}
}

// hello answers with the path, and counts connections.
func hello(conns *atomic.Int32) *http.Server {
	return &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto, " ", r.URL.Path) }),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				conns.Add(1)
			}
		},
	}
}

func get(c *http.Client, url string) (string, error) {
	answer, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return string(body), err
}

// TestClientHandlerFunc does what a program that uses wslis does, over a real socket.
func TestClientHandlerFunc(t *testing.T) {
	leak.Check(t)
	got := make(chan string, 2)
	server := transport.NewServer(rhttp.ClientHandlerFunc(func(header http.Header, client *http.Client) {
		for range 2 {
			body, err := get(client, "http://device/page")
			got <- fmt.Sprint(header.Get("DeviceId"), " ", body, " ", err)
		}
	}))
	srv := httptest.NewServer(server)
	defer srv.Close()
	defer server.Close()
	lis, err := transport.DialAndListen(srv.URL, http.Header{"Deviceid": {"123"}})
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	var conns atomic.Int32
	go hello(&conns).Serve(lis)
	for range 2 {
		if got := <-got; got != "123 HTTP/1.1 /page <nil>" {
			t.Errorf("the device answers %q", got)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("two requests used %d connections", n)
	}
}

// Kinds of clients, which differ in how their http.Transport is changed.
var kinds = map[string]func(d *transport.Dialer, configure func(*http.Transport)) *http.Client{
	"NewTransport": func(d *transport.Dialer, configure func(*http.Transport)) *http.Client {
		return &http.Client{Transport: rhttp.NewTransport(d, configure)}
	},
	"ClientHandlerFunc": func(d *transport.Dialer, configure func(*http.Transport)) (client *http.Client) {
		rhttp.ClientHandlerFunc(func(_ http.Header, c *http.Client) { client = c }).HandleEndpoint(d)
		configure(client.Transport.(*http.Transport)) // as programs do that were written for wslis
		return client
	},
}

// TestTLS uses TLS and HTTP/2 inside the connection.
func TestTLS(t *testing.T) {
	for name, newClient := range kinds {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			d := newDevice(t)
			certificate, roots := certified(t)
			var conns atomic.Int32
			srv := hello(&conns)
			srv.TLSConfig = &tls.Config{Certificates: certificate, NextProtos: []string{"h2", "http/1.1"}}
			go srv.ServeTLS(d.lis, "", "")
			defer srv.Close()
			client := newClient(d.Dialer, func(t *http.Transport) { t.TLSClientConfig = &tls.Config{RootCAs: roots} })
			for range 2 {
				if body, err := get(client, "https://example.com/page"); body != "HTTP/2.0 /page" || err != nil {
					t.Errorf("the device answers %q, %v", body, err)
				}
			}
			if n := conns.Load(); n != 1 {
				t.Errorf("two requests used %d connections", n)
			}
			if _, err := get(client, "https://other.example/"); err == nil || !strings.Contains(err.Error(), "certificate") {
				t.Errorf("a certificate for another name: %v", err)
			}
			client.CloseIdleConnections()
			await.Until(t, "the end of idle connections", func() bool { return d.Info().Streams == 0 })
		})
	}
}

// TestTransportOfWslis expects the client of a ClientHandlerFunc to have the errors and idle
// connections of a Transport.
func TestTransportOfWslis(t *testing.T) {
	leak.Check(t)
	d := newDevice(t)
	client := kinds["ClientHandlerFunc"](d.Dialer, func(t *http.Transport) { t.MaxResponseHeaderBytes = 1000 })
	client.CloseIdleConnections() // before there are any, which begins nothing
	go http.Serve(d.lis, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.Header().Set("Long", strings.Repeat("x", len(r.URL.RawQuery)))
	}))
	if _, err := get(client, "http://device/?short"); err != nil {
		t.Error(err)
	}
	if _, err := get(client, "http://device/?"+strings.Repeat("x", 5000)); err == nil {
		t.Error("an answer's header may be longer than MaxResponseHeaderBytes, which was set")
	}
	if _, err := get(client, "http://device/?short"); err != nil {
		t.Error(err)
	}
	client.CloseIdleConnections()
	await.Until(t, "the end of idle connections", func() bool { return d.Info().Streams == 0 })
}

// TestUpgradeIsRefused asks for an upgrade over TLS. After the refusal the connection becomes
// idle, and the session drops it.
func TestUpgradeIsRefused(t *testing.T) {
	for name, newClient := range kinds {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			d := newDevice(t)
			certificate, roots := certified(t)
			srv := hello(new(atomic.Int32))
			srv.TLSConfig = &tls.Config{Certificates: certificate}
			go srv.ServeTLS(d.lis, "", "")
			defer srv.Close()
			client := newClient(d.Dialer, func(t *http.Transport) { t.TLSClientConfig = &tls.Config{RootCAs: roots} })
			r, err := http.NewRequest(http.MethodGet, "https://example.com/page", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Connection", "Upgrade")
			r.Header.Set("Upgrade", "websocket")
			answer, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if answer.Body.Close(); answer.Proto != "HTTP/1.1" {
				t.Errorf("the device answers with %s", answer.Proto)
			}
			if err := d.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// In TestDraining a session drains while requests are sent. Those under way are finished, the
// next ones fail, and nothing delays the end.
func TestDraining(t *testing.T) {
	for name, newClient := range kinds {
		drains(t, name+" http", "http", newClient)
		drains(t, name+" https", "https", newClient)
	}
}

func drains(t *testing.T, name, scheme string, newClient func(*transport.Dialer, func(*http.Transport)) *http.Client) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDevice(t)
			goOn := make(chan bool)
			certificate, roots := certified(t)
			srv := &http.Server{
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/slow" {
						w.(http.Flusher).Flush()
						<-goOn
					}
					io.WriteString(w, r.Proto)
				}),
				TLSConfig: &tls.Config{Certificates: certificate},
			}
			if scheme == "https" {
				go srv.ServeTLS(d.lis, "", "")
			} else {
				go srv.Serve(d.lis)
			}
			client := newClient(d.Dialer, func(t *http.Transport) { t.TLSClientConfig = &tls.Config{RootCAs: roots} })
			url := scheme + "://example.com/"
			proto, err := get(client, url)
			if err != nil {
				t.Fatal(err)
			}
			slow := make(chan string)
			go func() {
				body, err := get(client, url+"slow")
				slow <- fmt.Sprint(body, " ", err)
			}()
			synctest.Wait()
			ended := make(chan error)
			go func() { ended <- d.Shutdown(t.Context()) }()
			<-d.Draining()
			_, err = client.Post(url, "text/plain", strings.NewReader("x"))
			if !errors.Is(err, rhttp.ErrNoConnection) || !errors.Is(err, transport.ErrDraining) {
				t.Errorf("a request while the session drains: %v, want rhttp.ErrNoConnection and transport.ErrDraining", err)
			}
			time.Sleep(time.Hour)
			goOn <- true
			if got, want := <-slow, proto+" <nil>"; got != want {
				t.Errorf("the request that was under way: %q, want %q", got, want)
			}
			began := time.Now()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("the session was held up for %v", took)
			}
		})
	})
}

// certified returns a certificate of example.com.
func certified(t *testing.T) ([]tls.Certificate, *x509.CertPool) {
	srv := httptest.NewUnstartedServer(nil)
	srv.StartTLS()
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return srv.TLS.Certificates, roots
}

// In TestGone a client leaves.
func TestGone(t *testing.T) {
	for name, newClient := range kinds {
		t.Run(name, func(t *testing.T) { isGone(t, newClient) })
	}
}

func isGone(t *testing.T, newClient func(*transport.Dialer, func(*http.Transport)) *http.Client) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		var conns atomic.Int32
		go hello(&conns).Serve(d.lis)
		client := newClient(d.Dialer, func(*http.Transport) {})
		get(client, "http://device/")
		d.lis.Close()
		synctest.Wait()
		if _, err := get(client, "http://device/"); !errors.Is(err, rhttp.ErrNoConnection) || !errors.Is(err, transport.ErrClientGone) {
			t.Errorf("error %v, want rhttp.ErrNoConnection and transport.ErrClientGone", err)
		}
	})
}

// In TestNoProxy the environment names a proxy, which must not be used.
func TestNoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://proxy.example")
	rhttp.NewTransport(newDevice(t).Dialer, func(rt *http.Transport) {
		rt.Proxy = http.ProxyFromEnvironment
		t.Cleanup(func() {
			if rt.Proxy != nil {
				t.Error("connections to a client go by a proxy")
			}
		})
	})
}

// In TestAcceptsNothing a client accepts no connections. A request fails after 30 s.
func TestAcceptsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		for {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := d.DialContext(ctx, "", "")
			cancel()
			if err != nil {
				break
			}
		}
		began := time.Now()
		_, err := get(&http.Client{Transport: rhttp.NewTransport(d.Dialer)}, "http://device/")
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, rhttp.ErrNoConnection) || time.Since(began) != 30*time.Second {
			t.Errorf("after %v: %v, want context.DeadlineExceeded after 30 s", time.Since(began), err)
		}
	})
}
