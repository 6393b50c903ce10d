package metrics_test

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/metrics"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// patience bounds what has to happen, on a loaded machine.
const patience = 20 * time.Second

// quiet is for servers that expect bad clients.
var quiet = log.New(io.Discard, "", 0)

// A site is a server whose metrics are in a registry.
type site struct {
	*transport.Server
	url      string
	dialers  chan *transport.Dialer
	registry *prometheus.Registry
}

func newSite(t *testing.T, opts ...transport.ServerOption) *site {
	t.Helper()
	c := metrics.New()
	s := &site{dialers: make(chan *transport.Dialer, 100), registry: prometheus.NewPedanticRegistry()}
	s.registry.MustRegister(c)
	s.Server = transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) { s.dialers <- d }),
		append(opts, transport.WithTrace(c.Trace()))...)
	srv := httptest.NewUnstartedServer(s.Server)
	srv.Config.ErrorLog = quiet
	srv.Start()
	s.url = srv.URL
	t.Cleanup(func() {
		s.Close()
		srv.Close()
	})
	return s
}

// connect returns both ends of a session.
func (s *site) connect(t *testing.T, opts ...transport.ClientOption) (*transport.Listener, *transport.Dialer) {
	t.Helper()
	lis, err := transport.DialAndListen(s.url, http.Header{"Id": {t.Name()}}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	return lis.(*transport.Listener), backdialtest.From(t, "Dialer", s.dialers)
}

// raw connects a client that has a connection, and no session on it.
func (s *site) raw(t *testing.T) (carrier.Conn, *transport.Dialer) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, s.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := ws.New().Dial(t.Context(), &carrier.Request{URL: r.URL, Protocols: []string{yamuxmux.New().Protocol()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, backdialtest.From(t, "Dialer", s.dialers)
}

// has waits until the registry has these metrics, as it exposes them, without type and
// help. Other metrics of the same names must be 0.
func has(t *testing.T, r prometheus.Gatherer, want string) {
	t.Helper()
	names := make(map[string]bool)
	var lines []string
	for line := range strings.Lines(want) {
		if line = strings.TrimSpace(line); line != "" {
			if !strings.HasSuffix(line, " 0") {
				lines = append(lines, line)
			}
			names[line[:strings.IndexAny(line, "{ ")]] = true
		}
	}
	var got string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		var found []string
		for _, line := range exposed(t, r) {
			if names[line[:strings.IndexAny(line, "{ ")]] && !strings.HasSuffix(line, " 0") {
				found = append(found, line)
			}
		}
		if got = strings.Join(found, "\n"); got == strings.Join(lines, "\n") {
			return
		}
		time.Sleep(time.Millisecond) // no more than to let others run
	}
	t.Errorf("metrics\n%s\nwant\n%s", got, strings.Join(lines, "\n"))
}

// exposed are the lines that Prometheus would get.
func exposed(t *testing.T, r prometheus.Gatherer) (lines []string) {
	t.Helper()
	var text strings.Builder
	for _, f := range gather(t, r) {
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			t.Fatal(err)
		}
	}
	for line := range strings.Lines(text.String()) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// serveEcho writes back what it reads on every connection.
func serveEcho(lis net.Listener) {
	for {
		c, err := lis.Accept()
		if err != nil {
			return
		}
		go func() {
			io.Copy(c, c)
			c.Close()
		}()
	}
}

// dial opens a connection.
func dial(t *testing.T, d interface{ Dial() (net.Conn, error) }) net.Conn {
	t.Helper()
	c, err := d.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// within returns a context that ends when patience does.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
