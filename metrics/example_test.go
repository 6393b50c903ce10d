package metrics_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/backdial/backdial/metrics"
	"github.com/backdial/backdial/transport"
)

// A server whose metrics Prometheus gets from /metrics.
func Example() {
	registry := prometheus.NewRegistry()
	c := metrics.New()
	registry.MustRegister(c)
	connected := make(chan struct{})
	server := transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) { close(connected) }),
		transport.WithTrace(c.Trace()))
	defer server.Close()
	routes := http.NewServeMux()
	routes.Handle("/connect", server)
	routes.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	srv := httptest.NewServer(routes)
	defer srv.Close()

	lis, err := transport.DialAndListen(srv.URL+"/connect", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer lis.Close()
	<-connected
	answer, err := http.Get(srv.URL + "/metrics")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "backdial_sessions{") {
			fmt.Println(lines.Text())
		}
	}
	// Output: backdial_sessions{carrier="ws",mux="qmux"} 1
}

// A client has metrics of its own.
func ExampleNewClient() {
	c := metrics.NewClient()
	prometheus.MustRegister(c)
	client := transport.NewClient("wss://example.com/connect", nil,
		transport.WithReconnect(transport.Backoff{}), transport.WithTrace(c.Trace()))
	_ = client // call its DialAndListen
}
