// Fleet is a web page that lists the connected devices as they come and go, and shows
// what each of them serves. Some sample devices run in the same process. They use any
// carrier and multiplexer, at one address.
package main

import (
	"context"
	"crypto/tls"
	"embed"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

//go:embed index.html
var files embed.FS

func main() {
	log.SetFlags(0)
	addr := flag.String("addr", "127.0.0.1:8080", "IP address and `port`, of TCP and UDP")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, *addr, func(url string, trust *tls.Config) {
		fmt.Println("Open", url)
		simulate(ctx, url, trust)
	})
	if err != nil {
		log.Fatal("fleet: ", err)
	}
}

// run is the server, until ctx ends. When it listens, it calls ready in a goroutine.
func run(ctx context.Context, addr string, ready func(url string, trust *tls.Config)) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	host, _, _ := net.SplitHostPort(addr)
	certificate, err := webtransport.SelfSigned(host) // a real server has one, for TCP too
	if err != nil {
		return err
	}

	clients := fleet.New(fleet.ByHeader("DeviceId"))
	udp := webtransport.New()
	devices := transport.NewServer(clients, transport.WithAuthorize(clients.Authorize),
		transport.WithCarriers(udp, ws.New()), transport.WithMuxes(nativemux.New(), yamuxmux.New(), smuxmux.New()))
	defer devices.Close()
	endpoint, err := udp.Listen(ln.Addr().String(), &tls.Config{Certificates: []tls.Certificate{certificate}}, devices)
	if err != nil {
		return err
	}
	defer endpoint.Close()
	go endpoint.Serve() // ends with Close

	pages := http.NewServeMux()
	pages.Handle("GET /{$}", http.FileServerFS(files))
	pages.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) { events(clients, w, r) })
	pages.Handle("/device/", http.StripPrefix("/device", &fleet.ReverseProxy{Fleet: clients}))
	pages.Handle("/connect", devices)
	web := &http.Server{Handler: pages, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { web.Close() })()
	go ready("http://"+ln.Addr().String(), &tls.Config{RootCAs: pool(certificate)})
	if err := web.Serve(ln); ctx.Err() == nil {
		return err
	}
	return nil
}
