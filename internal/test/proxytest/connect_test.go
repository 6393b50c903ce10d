//go:build unix

package proxytest

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/transport"
)

type hostKey struct{}

// authorize refuses clients that ask for it. The Dialer of any other client says which
// host the client has asked for.
func authorize(r *http.Request) error {
	switch r.Header.Get("Refuse") {
	case "401":
		return &carrier.RejectedError{
			StatusCode: http.StatusUnauthorized,
			Header:     http.Header{"Www-Authenticate": {"Bearer"}},
			Body:       []byte("no token"),
		}
	case "503":
		return &carrier.RejectedError{StatusCode: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"7"}}}
	}
	*r = *r.WithContext(context.WithValue(r.Context(), hostKey{}, r.Host))
	return nil
}

// TestConnect connects clients: the server must know where they come from, and its
// answers must reach them.
func TestConnect(t *testing.T) {
	forEach(t, func(t *testing.T, k kind) {
		s := startServer(t, "server", transport.WithAuthorize(authorize))
		p := startProxy(t, k, k.servers(s.addr))
		for _, w := range ways() {
			t.Run(w.name, func(t *testing.T) {
				lis, d := p.connect(t, w, s, http.Header{
					"Device":            {"7"},
					"X-Forwarded-For":   {"192.0.2.1"}, // which the client may not decide
					"X-Forwarded-Proto": {"gopher"},
				})
				if want := w.muxer.Protocol(); lis.Info().Protocol != want || d.Info().Protocol != want {
					t.Errorf("negotiated %q and %q, want %q", lis.Info().Protocol, d.Info().Protocol, want)
				}
				scheme := map[string]string{"ws": "http", "wss": "https"}[w.scheme]
				for name, want := range map[string]string{"Device": "7", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": scheme} {
					if got := d.Header[name]; len(got) != 1 || got[0] != want {
						t.Errorf("%s: %q, want %q", name, got, want)
					}
				}
				if got := d.Context().Value(hostKey{}); got != p.host(w) {
					t.Errorf("the server was asked as %q, want %q", got, p.host(w))
				}
				if d.TLS != nil {
					t.Error("the Dialer knows of TLS, which ended at the proxy")
				}
				far, near := pair(t, d, lis)
				pingPong(t, far, near)
				p.connect(t, w, s, http.Header{"Origin": {scheme + "://" + p.host(w)}})

				for _, test := range []struct {
					status      int
					header      http.Header
					answer, has string
				}{
					{401, http.Header{"Refuse": {"401"}}, "Www-Authenticate", "Bearer"},
					{503, http.Header{"Refuse": {"503"}}, "Retry-After", "7"},
					{403, http.Header{"Origin": {scheme + "://elsewhere.example"}}, "", ""},
				} {
					_, err := p.listen(t, w, test.header)
					rejected, ok := errors.AsType[*carrier.RejectedError](err)
					switch {
					case !ok || rejected.StatusCode != test.status:
						t.Errorf("refused with %v, want status %d", err, test.status)
					case rejected.Header.Get(test.answer) != test.has:
						t.Errorf("refused with %d and header %q, want %s: %s", test.status, rejected.Header, test.answer, test.has)
					case test.status == 401 && string(rejected.Body) != "no token":
						t.Errorf("refused with %q", rejected.Body)
					}
				}
			})
		}
		// The proxy offers HTTP/2 to others. Clients of this library must not accept it.
		config := p.trust.Clone()
		config.NextProtos = []string{"h2", "http/1.1"}
		conn, err := tls.Dial("tcp", p.secure, config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if got := conn.ConnectionState().NegotiatedProtocol; got != "h2" {
			t.Errorf("the proxy chose %q, want h2", got)
		}
	})
}

// TestNobody uses a proxy with no server behind it: its answer must not stop clients that
// reconnect.
func TestNobody(t *testing.T) {
	forEach(t, func(t *testing.T, k kind) {
		p := startProxy(t, k, k.servers(testnet.FreeAddr(t)))
		_, err := p.listen(t, ways()[0], nil)
		rejected, ok := errors.AsType[*carrier.RejectedError](err)
		if !ok || rejected.StatusCode < 500 || !transport.Retryable(err) {
			t.Errorf("%v, want a status of 5xx, and that it is retryable", err)
		}
	})
}
