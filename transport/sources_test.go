package transport_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/transport"
)

// through is what a proxy adds to the request of a client at addr.
func through(addr string) http.Header { return http.Header{"X-Forwarded-For": {addr}} }

// is429 reports whether a server has refused with status 429, and when to come again.
func is429(err error, retryAfter string) bool {
	rejected, ok := errors.AsType[*carrier.RejectedError](err)
	return ok && rejected.StatusCode == http.StatusTooManyRequests && rejected.Header.Get("Retry-After") == retryAfter
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// In TestSessionsOfAddress one address gets no more sessions than it may, and leaves room for
// others.
func TestSessionsOfAddress(t *testing.T) {
	leak.Check(t)
	dialers := make(chan *transport.Dialer, 10)
	srv := httptest.NewServer(serverFunc(t, func(d *transport.Dialer) { dialers <- d },
		transport.WithAddressLimits(transport.AddressLimits{Sessions: 2, TrustedProxies: loopback})))
	defer srv.Close()
	enter := func(addr string) (net.Listener, error) {
		lis, err := transport.DialAndListen(srv.URL, through(addr))
		if err == nil {
			t.Cleanup(func() { lis.Close() })
		}
		return lis, err
	}
	var first net.Listener
	for range 2 {
		lis, err := enter("2001:db8::1")
		if err != nil {
			t.Fatal(err)
		}
		first = lis
	}
	if _, err := enter("2001:db8::2"); !is429(err, "30") {
		t.Errorf("a third client: %v, want status 429 and Retry-After 30", err)
	}
	if _, err := enter("2001:db8:0:1::1"); err != nil {
		t.Error("another address: ", err)
	}
	first.Close()
	await.Until(t, "room for another", func() bool {
		_, err := enter("2001:db8::1")
		return err == nil
	})
}

// In TestHandshakesOfAddress one address gets no more handshakes than it may.
func TestHandshakesOfAddress(t *testing.T) {
	leak.Check(t)
	asked, decide := make(chan struct{}, 10), make(chan struct{})
	srv := httptest.NewServer(serverFunc(t, nil,
		transport.WithAuthorize(func(*http.Request) error { asked <- struct{}{}; <-decide; return nil }),
		transport.WithAddressLimits(transport.AddressLimits{Handshakes: 1, TrustedProxies: loopback})))
	defer srv.Close()
	entered := make(chan error, 2)
	enter := func(addr string) {
		lis, err := transport.DialAndListen(srv.URL, through(addr))
		if err == nil {
			lis.Close()
		}
		entered <- err
	}
	go enter("192.0.2.1")
	await.From(t, "the first client in authorize", asked)
	enter("192.0.2.1")
	if err := <-entered; !is429(err, "1") {
		t.Errorf("a second client: %v, want status 429 and Retry-After 1", err)
	}
	go enter("192.0.2.2")
	await.From(t, "a client of another address in authorize", asked)
	close(decide)
	for range 2 {
		if err := await.From(t, "a client", entered); err != nil {
			t.Error(err)
		}
	}
}
