package otelbackdial_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/carrier/ws"
	otelbackdial "github.com/backdial/backdial/metrics/otel"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// spans is a provider that delivers the spans that have ended.
func spans(t *testing.T) (*sdk.TracerProvider, <-chan sdk.ReadOnlySpan) {
	ended := make(delivery, 100)
	p := sdk.NewTracerProvider(sdk.WithSpanProcessor(ended))
	t.Cleanup(func() { p.Shutdown(context.Background()) })
	return p, ended
}

type delivery chan sdk.ReadOnlySpan

func (d delivery) OnStart(context.Context, sdk.ReadWriteSpan) {}
func (d delivery) OnEnd(s sdk.ReadOnlySpan)                   { d <- s }
func (d delivery) Shutdown(context.Context) error             { return nil }
func (d delivery) ForceFlush(context.Context) error           { return nil }

// A site is a server whose spans are delivered.
type site struct {
	*transport.Server
	url      string
	dialers  chan *transport.Dialer
	provider trace.TracerProvider
	spans    <-chan sdk.ReadOnlySpan
}

func newSite(t *testing.T, opts ...transport.ServerOption) *site {
	t.Helper()
	provider, ended := spans(t)
	s := &site{dialers: make(chan *transport.Dialer, 10), provider: provider, spans: ended}
	s.Server = transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) { s.dialers <- d }),
		append(opts, transport.WithTrace(otelbackdial.Trace(provider)))...)
	srv := httptest.NewServer(s.Server)
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
	lis, err := transport.DialAndListen(s.url, nil, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	return lis.(*transport.Listener), backdialtest.From(t, "Dialer", s.dialers)
}

// check compares what a span says, but for its times.
func check(t *testing.T, got sdk.ReadOnlySpan, name string, status codes.Code, attributes ...attribute.KeyValue) {
	t.Helper()
	if got.Name() != name || got.SpanKind() != trace.SpanKindInternal || got.Status().Code != status {
		t.Errorf("span %s of kind %v with status %v, want %s, internal, %v", got.Name(), got.SpanKind(), got.Status(), name, status)
	}
	if !slices.Equal(got.Attributes(), attributes) {
		t.Errorf("%s: attributes\n%v, want\n%v", name, got.Attributes(), attributes)
	}
	exceptions := 0
	for _, e := range got.Events() {
		if e.Name == "exception" {
			exceptions++
		}
	}
	if failed := status == codes.Error; failed != (exceptions == 1) || failed != (got.Status().Description != "") {
		t.Errorf("%s: %d errors, and status %v", name, exceptions, got.Status())
	}
}

// of are the attributes of a session over ws.
func of(i transport.Info, more ...attribute.KeyValue) []attribute.KeyValue {
	remote, local := i.RemoteAddr.(*net.TCPAddr), i.LocalAddr.(*net.TCPAddr)
	return append([]attribute.KeyValue{
		attribute.String("backdial.carrier", "ws"),
		attribute.String("backdial.mux", i.Mux),
		attribute.String("backdial.session.id", i.Session),
		attribute.String("backdial.protocol", i.Protocol),
		attribute.String("network.peer.address", "127.0.0.1"),
		attribute.Int("network.peer.port", remote.Port),
		attribute.String("network.local.address", "127.0.0.1"),
		attribute.Int("network.local.port", local.Port),
		attribute.String("network.transport", "tcp"),
	}, more...)
}

func end(how string) attribute.KeyValue    { return attribute.String("backdial.session.end", how) }
func failed(how string) attribute.KeyValue { return attribute.String("error.type", how) }

// In TestDial calls of Dial succeed and fail, within another span.
func TestDial(t *testing.T) {
	backdialtest.CheckLeaks(t)
	s := newSite(t)
	lis, d := s.connect(t)
	ctx, parent := s.provider.Tracer("test").Start(t.Context(), "request")
	before := time.Now()
	c, err := d.DialContext(ctx, "", "")
	after := time.Now()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	span := backdialtest.From(t, "span", s.spans)
	check(t, span, "backdial.dial", codes.Unset, of(d.Info())...)
	if span.Parent().SpanID() != parent.SpanContext().SpanID() || span.SpanContext().TraceID() != parent.SpanContext().TraceID() {
		t.Error("the span is not a child of that in the context")
	}
	if span.StartTime().Before(before) || span.EndTime().Before(span.StartTime()) || span.EndTime().After(after) {
		t.Errorf("from %v to %v, want both between %v and %v", span.StartTime(), span.EndTime(), before, after)
	}

	canceled, cancel := context.WithCancel(ctx)
	cancel()
	d.DialContext(canceled, "", "")
	check(t, backdialtest.From(t, "span", s.spans), "backdial.dial", codes.Error, of(d.Info(), failed("canceled"))...)
	lis.Close()
	check(t, backdialtest.From(t, "span", s.spans), "backdial.session", codes.Unset, of(d.Info(), end("closed_by_peer"))...)
	d.Dial()
	span = backdialtest.From(t, "span", s.spans)
	check(t, span, "backdial.dial", codes.Error, of(d.Info(), failed("gone"))...)
	if span.Parent().IsValid() {
		t.Error("a Dial without a span in its context has a parent")
	}
	if text := span.Status().Description; !strings.Contains(text, "client gone") {
		t.Errorf("status %q, want the error", text)
	}
}

// TestSession looks at both ends, also at those that fail.
func TestSession(t *testing.T) {
	backdialtest.CheckLeaks(t)
	s := newSite(t)
	provider, client := spans(t)
	lis, d := s.connect(t, transport.WithTrace(otelbackdial.Trace(provider)))
	closed := time.Now()
	d.Close()
	far, near := backdialtest.From(t, "span", s.spans), backdialtest.From(t, "span", client)
	check(t, far, "backdial.session", codes.Unset, of(d.Info(), end("closed"))...)
	check(t, near, "backdial.session", codes.Unset, of(lis.Info(), end("closed_by_peer"))...)
	for _, span := range []sdk.ReadOnlySpan{far, near} {
		if span.Parent().IsValid() {
			t.Error("the span of a session has a parent")
		}
		if span.EndTime().Before(closed) {
			t.Errorf("the session has ended at %v, before it was closed at %v", span.EndTime(), closed)
		}
	}
	if !far.StartTime().Equal(d.Info().Since) || !near.StartTime().Equal(lis.Info().Since) {
		t.Errorf("the spans begin at %v and %v, want %v and %v", far.StartTime(), near.StartTime(), d.Info().Since, lis.Info().Since)
	}

	u, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	for how, do := range map[string]func(carrier.Conn){
		"lost":     func(c carrier.Conn) { c.Close() },
		"protocol": func(c carrier.Conn) { c.Write([]byte("GET / HTTP/1.1\r\n\r\n")) },
	} {
		c, err := ws.New().Dial(t.Context(), &carrier.Request{URL: u, Header: http.Header{}, Protocols: []string{yamuxmux.New().Protocol()}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		d := backdialtest.From(t, "Dialer", s.dialers)
		do(c)
		check(t, backdialtest.From(t, "span", s.spans), "backdial.session", codes.Error, of(d.Info(), end(how), failed(how))...)
	}
}

// In TestOtherAddresses some addresses are no IP address and port, and there is no protocol.
func TestOtherAddresses(t *testing.T) {
	backdialtest.CheckLeaks(t)
	exporter := tracetest.NewInMemoryExporter()
	tell := otelbackdial.Trace(sdk.NewTracerProvider(sdk.WithSyncer(exporter)))
	tell.ClientGone(transport.Info{Carrier: "quic", Mux: "native", RemoteAddr: &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 7}}, net.ErrClosed)
	network := mem.New()
	dialers := make(chan *transport.Dialer, 1)
	s := transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) { dialers <- d }), transport.WithCarriers(network), transport.WithTrace(tell))
	e, err := network.Listen("server", nil, s)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	go e.Serve()
	lis, err := transport.DialAndListen("mem://server", nil, transport.WithCarriers(network))
	if err != nil {
		t.Fatal(err)
	}
	lis.Close()
	d := <-dialers
	<-d.Done() // before the server ends it
	s.Close()
	got := exporter.GetSpans()
	if len(got) != 2 {
		t.Fatalf("%d spans, want 2", len(got))
	}
	want := [][]attribute.KeyValue{{
		attribute.String("backdial.carrier", "quic"),
		attribute.String("backdial.mux", "native"),
		attribute.String("network.peer.address", "10.0.0.1"),
		attribute.Int("network.peer.port", 7),
		attribute.String("network.transport", "udp"),
		end("closed"),
	}, {
		attribute.String("backdial.carrier", "mem"),
		attribute.String("backdial.mux", "qmux"),
		attribute.String("backdial.session.id", d.Info().Session),
		attribute.String("backdial.protocol", "qmux-02.backdial.1"),
		attribute.String("network.peer.address", "client:1"),
		attribute.String("network.local.address", "server"),
		end("closed_by_peer"),
	}}
	for i, want := range want {
		if !slices.Equal(got[i].Attributes, want) {
			t.Errorf("attributes\n%v, want\n%v", got[i].Attributes, want)
		}
	}
}
