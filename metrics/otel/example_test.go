package otelbackdial_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	otelbackdial "github.com/backdial/backdial/metrics/otel"
	"github.com/backdial/backdial/transport"
)

// A server that dials its client in the course of something that is traced. Programs
// have another exporter.
func ExampleTrace() {
	exporter := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(exporter))
	dialers := make(chan *transport.Dialer, 1)
	server := transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) { dialers <- d }),
		transport.WithTrace(otelbackdial.Trace(provider)))
	defer server.Close()
	srv := httptest.NewServer(server)
	defer srv.Close()
	lis, err := transport.DialAndListen(srv.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer lis.Close()
	d := <-dialers

	ctx, span := provider.Tracer("example").Start(context.Background(), "ask the client")
	conn, err := d.DialContext(ctx, "", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	conn.Close()
	span.End()
	server.Close()
	for _, s := range exporter.GetSpans() {
		fmt.Println(s.Name)
	}
	// Output:
	// backdial.dial
	// ask the client
	// backdial.session
}
