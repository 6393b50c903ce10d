// Http shows the web page of a device in your browser. The device, behind any NAT, serves
// HTTP on the connections that it accepts. The server finds it by its ID and is a reverse
// proxy for it.
//
// Without arguments, both run in one process. To run them on separate machines:
//
//	go run ./examples/http -serve :8080
//	go run ./examples/http -connect ws://server:8080/connect -id kitchen
package main

import (
	"context"
	"flag"
	"fmt"
	"html/template"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/transport"
)

func main() {
	log.SetFlags(0)
	addr := flag.String("serve", "", "run only the server, at `address`")
	url := flag.String("connect", "", "run only a device, which connects to the server at `URL`")
	id := flag.String("id", "kitchen", "the device's `ID`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	switch {
	case *url != "":
		err = device(ctx, *url, *id, transport.WithLogger(slog.Default())) // also while it waits
	case *addr != "":
		err = serve(ctx, *addr)
	default:
		go device(ctx, "ws://127.0.0.1:8080/connect", *id) // it connects as soon as there is a server
		fmt.Printf("Open http://127.0.0.1:8080/%s/\n", *id)
		err = serve(ctx, "127.0.0.1:8080")
	}
	if err != nil && ctx.Err() == nil {
		log.Fatal("http: ", err)
	}
}

// serve is the server, until ctx ends.
func serve(ctx context.Context, addr string) error {
	devices, handler := site()
	defer devices.Close()
	web := &http.Server{Addr: addr, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { web.Close() })()
	return web.ListenAndServe() // in production with TLS, and wss:// in the devices' URL
}

// site is where devices connect and users find them.
func site() (*transport.Server, http.Handler) {
	// Here any client with the header is a device. See WithAuthorize for better.
	clients := fleet.New(fleet.ByHeader("DeviceId"))
	devices := transport.NewServer(clients, transport.WithAuthorize(clients.Authorize))
	pages := http.NewServeMux()
	pages.Handle("/connect", devices)
	pages.Handle("/", &fleet.ReverseProxy{Fleet: clients}) // put a login before it
	return devices, pages
}

// device serves its page to a server, until ctx ends. It reconnects whenever it loses the
// server.
func device(ctx context.Context, url, id string, opts ...transport.ClientOption) error {
	lis, err := transport.DialAndListenContext(ctx, url, http.Header{"DeviceId": {id}},
		append(opts, transport.WithReconnect(transport.Backoff{}))...)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { lis.Close() })()
	pages := http.NewServeMux()
	pages.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { page.Execute(w, id) })
	pages.HandleFunc("GET /clock", clock)
	return http.Serve(lis, pages)
}

var page = template.Must(template.New("").Parse(`<!doctype html><title>{{.}}</title>
<h1>This is the {{.}}</h1><p>The time here is <b></b>.
<script>new EventSource("clock").onmessage = e => document.querySelector("b").textContent = e.data</script>
`))

// clock sends the time as long as somebody looks at the page.
func clock(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for r.Context().Err() == nil {
		fmt.Fprintf(w, "data: %s\n\n", time.Now().Format(time.TimeOnly))
		http.NewResponseController(w).Flush()
		select {
		case <-time.After(time.Second):
		case <-r.Context().Done():
		}
	}
}
