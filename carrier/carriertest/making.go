package carriertest

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/backdial/backdial/carrier"
)

func agreesUponProtocol(t *testing.T, target Target) {
	offered := []string{"third.v1", "first.v1", "second.v1"}
	for _, chosen := range offered {
		t.Run(chosen, func(t *testing.T) { checkAgreement(t, target, offered, chosen) })
	}
}

func agreesUponNone(t *testing.T, target Target) {
	t.Run("NoneOffered", func(t *testing.T) { checkAgreement(t, target, nil, "") })
	t.Run("NoneChosen", func(t *testing.T) { checkAgreement(t, target, []string{"first.v1", "second.v1"}, "") })
}

// checkAgreement connects a client that offers with a server that chooses.
func checkAgreement(t *testing.T, target Target, offered []string, chosen string) {
	t.Helper()
	var seen []string
	p := connect(t, target,
		func(s *server) *carrier.Request { return s.request(offered...) },
		func(offers []string) string { seen = offers; return chosen })
	if !slices.Equal(seen, offered) {
		t.Errorf("Offer returned %q, the client offered %q", seen, offered)
	}
	if got := p.client.Protocol(); got != chosen {
		t.Errorf("client reports protocol %q, want %q", got, chosen)
	}
	if got := p.server.Protocol(); got != chosen {
		t.Errorf("server reports protocol %q, want %q", got, chosen)
	}
}

func carriesRequest(t *testing.T, target Target) {
	requests, addrs := make(chan *http.Request, enough), make(chan net.Addr, enough)
	s := serve(t, target, func(w http.ResponseWriter, r *http.Request) {
		requests <- r
		if conn, err := target.Carrier.Upgrade(w, r, protocol); err != nil {
			t.Errorf("Upgrade: %v", err)
		} else {
			addrs <- conn.RemoteAddr()
			t.Cleanup(func() { conn.Close() })
		}
	})
	request := func() *carrier.Request {
		r := s.request(protocol)
		r.URL.Path, r.URL.RawQuery = "/a path", "id=7&id=8&z=%26"
		r.Header = http.Header{"Authorization": {"Bearer token"}, "X-Several": {"one", "two"}, "DeviceId": {"123"}}
		return r
	}
	r, settings := request(), s.tls.Clone()
	s.dial(t, r)

	got := receive(t, "the handler", requests)
	if got.URL.Path != r.URL.Path || got.URL.RawQuery != r.URL.RawQuery {
		t.Errorf("server sees path %q and query %q, want %q and %q",
			got.URL.Path, got.URL.RawQuery, r.URL.Path, r.URL.RawQuery)
	}
	for key, want := range r.Header {
		if seen := got.Header.Values(key); !slices.Equal(seen, want) {
			t.Errorf("server sees header %s %q, want %q", key, seen, want)
		}
	}
	if got.Host != s.addr {
		t.Errorf("server sees host %q, want that of the URL, %q", got.Host, s.addr)
	}
	if want := receive(t, "Upgrade", addrs).String(); got.RemoteAddr != want {
		t.Errorf("the request's RemoteAddr is %q, that of its connection %q", got.RemoteAddr, want)
	}
	if (got.TLS != nil) != target.TLS {
		t.Errorf("the request's TLS is %v; with TLS: %v", got.TLS, target.TLS)
	}
	if want := request(); *r.URL != *want.URL || !reflect.DeepEqual(r.Header, want.Header) || !slices.Equal(r.Protocols, want.Protocols) {
		t.Errorf("Dial changed the request to %+v", r)
	}
	if r.TLS != nil && !equalTLS(r.TLS, settings) {
		t.Error("Dial changed the TLS settings")
	}
}

func carriesAnswer(t *testing.T, target Target) {
	s := serve(t, target, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Answer", "42")
		conn, err := target.Carrier.Upgrade(w, r, protocol)
		if err != nil {
			t.Errorf("Upgrade: %v", err)
			return
		}
		t.Cleanup(func() { conn.Close() })
	})
	r := s.request(protocol)
	var answers []http.Header
	r.Answered = func(answer http.Header) { answers = append(answers, answer) }
	s.dial(t, r)
	if len(answers) != 1 || answers[0].Get("X-Answer") != "42" {
		t.Errorf("before Dial returns, Answered gets %q, want one header with X-Answer 42", answers)
	}
}

// equalTLS compares the settings that a carrier might change.
func equalTLS(a, b *tls.Config) bool {
	return slices.Equal(a.NextProtos, b.NextProtos) && a.ServerName == b.ServerName && a.MinVersion == b.MinVersion
}

func ignoresOthers(t *testing.T, target Target) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if offers, ok := target.Carrier.Offer(r); ok {
		t.Errorf("Offer took a plain GET for one of its own, with offers %q", offers)
	}
}

func servesMany(t *testing.T, target Target) {
	const connections = 16
	s := serve(t, target, func(w http.ResponseWriter, r *http.Request) {
		conn, err := target.Carrier.Upgrade(w, r, protocol)
		if err != nil {
			t.Errorf("Upgrade: %v", err)
			return
		}
		go func() {
			defer conn.Close()
			io.Copy(conn, conn) // until the client closes
		}()
	})
	var clients sync.WaitGroup
	for i := range connections {
		clients.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			conn, err := target.Carrier.Dial(ctx, s.request(protocol))
			if err != nil {
				t.Errorf("Dial: %v", err)
				return
			}
			defer conn.Close()
			if err := echo(conn, fmt.Sprintf("this is connection %d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	doneWithin(t, 3*patience, "echoing", clients.Wait)
}

// echo sends message to a peer that echoes it.
func echo(conn carrier.Conn, message string) error {
	if _, err := io.WriteString(conn, message); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	got := make([]byte, len(message))
	if _, err := io.ReadFull(conn, got); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if string(got) != message {
		return fmt.Errorf("sent %q, got %q back", message, got)
	}
	return nil
}

func hasAddresses(t *testing.T, target Target) {
	p := plain(t, target)
	for _, conn := range []carrier.Conn{p.client, p.server} {
		for _, a := range []net.Addr{conn.LocalAddr(), conn.RemoteAddr()} {
			if a == nil || a.String() == "" || a.Network() == "" {
				t.Fatalf("an end has address %v", a)
			}
		}
	}
	if a := p.client.RemoteAddr(); a.String() != p.on.addr {
		t.Errorf("client's remote address is %v, want that of the server, %v", a, p.on.addr)
	}
	if a := p.server.LocalAddr(); !sameAddr(a, p.client.RemoteAddr()) {
		t.Errorf("server's local address is %v, client's remote address %v", a, p.client.RemoteAddr())
	}
	if a := p.client.LocalAddr(); !sameAddr(a, p.server.RemoteAddr()) {
		t.Errorf("client's local address is %v, server's remote address %v", a, p.server.RemoteAddr())
	}
}

// sameAddr reports whether local may be what the other end sees as remote. A socket that
// is not bound to a particular address knows only its port.
func sameAddr(local, remote net.Addr) bool {
	l, err := netip.ParseAddrPort(local.String())
	r, err2 := netip.ParseAddrPort(remote.String())
	if err == nil && err2 == nil && l.Addr().IsUnspecified() {
		return l.Port() == r.Port()
	}
	return local.String() == remote.String()
}

func answersBeforeClose(t *testing.T, target Target) {
	s := serve(t, target, func(w http.ResponseWriter, r *http.Request) {
		if conn, err := target.Carrier.Upgrade(w, r, protocol); err == nil {
			conn.Close()
		}
	})
	for range 10 {
		conn := s.dial(t, s.request(protocol))
		read := start(func() error { _, err := io.Copy(io.Discard, conn); return err })
		receive(t, "Read of a connection that the server has closed", read)
		conn.Close()
	}
}

func outlivesRequest(t *testing.T, target Target) {
	ended := make(chan struct{})
	accepted := make(chan carrier.Conn, 1)
	s := serve(t, target, func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		conn, err := target.Carrier.Upgrade(w, r, protocol)
		if err != nil {
			t.Errorf("Upgrade: %v", err)
		}
		accepted <- conn
	})
	client := s.dial(t, s.request(protocol)) // dial has cancelled its context
	receive(t, "the handler", ended)
	server := receive(t, "Upgrade", accepted)
	defer server.Close()

	echoed := start(func() error {
		_, err := io.CopyN(server, server, 5)
		return err
	})
	if err := echo(client, "hello"); err != nil {
		t.Error(err)
	}
	if err := receive(t, "echoing", echoed); err != nil {
		t.Errorf("server: %v", err)
	}
}
