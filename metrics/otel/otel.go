// Package otelbackdial makes OpenTelemetry spans of the sessions of servers and clients, and
// of dials in them. It is a module of its own: programs that do not import it do not depend on
// OpenTelemetry.
//
//	server := transport.NewServer(handler, transport.WithTrace(otelbackdial.Trace(otel.GetTracerProvider())))
//
// # Spans
//
// backdial.dial is a call of Dial, and a child of the span in its context. An http.Transport
// dials with the context of the request that needs the connection, and uses the connection for
// other requests too.
//
// backdial.session is a session, from its beginning to its end, without a parent. It is made
// at the end, so that nothing is kept for sessions that go on. So you do not see a session
// before it ends, and never see one that ends with its process.
//
// Both have the kind internal, and these attributes, by which a Dial can be matched with its
// session:
//
//   - backdial.carrier and backdial.mux, such as "ws" and "qmux", and backdial.protocol,
//     unless nothing was negotiated
//   - network.peer.address, network.peer.port, network.local.address, network.local.port and
//     network.transport, of the carrier's connection, which may be a proxy's in front of a
//     server
//   - backdial.session.id, which no other session on this end has
//   - backdial.session.end, of a session: a [transport.EndReason]
//   - error.type, of a failure: lost, silent or protocol for a session; draining, gone,
//     closed, timeout, canceled or other for a Dial
//
// A failure has the status Error, and the error as an event. A session that one end has
// closed, for whatever reason, has not failed. The words are those of package metrics.
package otelbackdial

import (
	"context"
	"net"
	"net/netip"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/backdial/backdial/transport"
	"github.com/backdial/backdial/transport/outcome"
)

// scope is the name of the tracer.
const scope = "github.com/backdial/backdial/metrics/otel"

// Trace returns a trace for [transport.WithTrace], of a server or a client, that makes spans
// with provider.
func Trace(provider trace.TracerProvider) transport.Trace {
	t := tracer{provider.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL))}
	return transport.Trace{ClientGone: t.session, StreamDialed: t.dial}
}

type tracer struct{ trace.Tracer }

func (t tracer) session(info transport.Info, err error) {
	now, end := time.Now(), transport.EndReasonOf(err)
	_, span := t.Start(context.Background(), "backdial.session", trace.WithTimestamp(info.Since),
		trace.WithAttributes(attributes(info)...), trace.WithAttributes(attribute.String("backdial.session.end", string(end))))
	defer span.End(trace.WithTimestamp(now))
	switch end {
	case transport.EndLost, transport.EndSilent, transport.EndProtocol:
		failed(span, now, string(end), err)
	}
}

func (t tracer) dial(ctx context.Context, info transport.Info, took time.Duration, err error) {
	now := time.Now()
	_, span := t.Start(ctx, "backdial.dial", trace.WithTimestamp(now.Add(-took)), trace.WithAttributes(attributes(info)...))
	defer span.End(trace.WithTimestamp(now))
	if err != nil {
		failed(span, now, outcome.Dial(ctx, err), err)
	}
}

func failed(span trace.Span, at time.Time, what string, err error) {
	span.SetAttributes(semconv.ErrorTypeKey.String(what))
	span.SetStatus(codes.Error, err.Error())
	span.RecordError(err, trace.WithTimestamp(at))
}

func attributes(info transport.Info) []attribute.KeyValue {
	all := []attribute.KeyValue{
		attribute.String("backdial.carrier", info.Carrier),
		attribute.String("backdial.mux", info.Mux),
	}
	if info.Session != "" {
		all = append(all, attribute.String("backdial.session.id", info.Session))
	}
	if info.Protocol != "" {
		all = append(all, attribute.String("backdial.protocol", info.Protocol))
	}
	all = append(all, address(info.RemoteAddr, semconv.NetworkPeerAddressKey, semconv.NetworkPeerPortKey)...)
	all = append(all, address(info.LocalAddr, semconv.NetworkLocalAddressKey, semconv.NetworkLocalPortKey)...)
	switch info.RemoteAddr.(type) {
	case *net.TCPAddr:
		all = append(all, semconv.NetworkTransportTCP)
	case *net.UDPAddr:
		all = append(all, semconv.NetworkTransportUDP)
	}
	return all
}

// address returns the attributes of a: its host and port if it has these, or else its text.
func address(a net.Addr, host, port attribute.Key) []attribute.KeyValue {
	if a == nil {
		return nil
	}
	if ip, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		at := ip.AddrPort()
		return []attribute.KeyValue{host.String(at.Addr().Unmap().String()), port.Int(int(at.Port()))}
	}
	return []attribute.KeyValue{host.String(a.String())}
}
