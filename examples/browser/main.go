// Browser is a server that dials browser tabs. It serves a page; a tab that shows the
// page connects by WebTransport and then listens; the server dials it and asks it
// something. It needs nothing installed in the browser, and no certificate authority.
//
// The client is in backdial.js, which is made for copying.
package main

import (
	"context"
	"crypto/tls"
	"embed"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/transport"
)

//go:embed index.html backdial.js
var files embed.FS

var index = template.Must(template.ParseFS(files, "index.html"))

func main() {
	log.SetFlags(0)
	// Not localhost: a browser may resolve that to ::1, and does not try again.
	addr := flag.String("addr", "127.0.0.1:8080", "IP address and `port`, of TCP for the page and of UDP for the tabs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *addr, os.Stdout); err != nil {
		log.Fatal("browser: ", err)
	}
}

// run asks every tab that connects, until ctx ends.
func run(ctx context.Context, addr string, w io.Writer) error {
	s, err := newSite(addr, index, func(d *transport.Dialer) {
		if err := ask(d, w); err != nil {
			fmt.Fprintln(w, "The tab at", d.Info().RemoteAddr, "did not answer:", err)
		}
		<-d.Done()
		fmt.Fprintln(w, "The tab at", d.Info().RemoteAddr, "is gone:", d.Err())
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "Open", s.url)
	return s.serve(ctx)
}

// ask dials a tab.
func ask(d *transport.Dialer, w io.Writer) error {
	conn, err := d.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(conn, "Who are you?")
	if err := conn.(carrier.CloseWriter).CloseWrite(); err != nil {
		return err
	}
	answer, err := io.ReadAll(io.LimitReader(conn, 1<<10))
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "The tab at %v is %q\n", d.Info().RemoteAddr, answer)
	return nil
}

// A site is a page, and the server that dials the tabs which show it.
type site struct {
	url   string // of the page
	ln    net.Listener
	pages *http.ServeMux
	web   *http.Server
	tabs  *transport.Server
	udp   carrier.Endpoint
}

// newSite listens on addr for tabs that show page, and calls handle for each that
// connects.
func newSite(addr string, page *template.Template, handle transport.EndpointHandlerFunc, opts ...webtransport.Option) (*site, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &site{url: "http://" + ln.Addr().String(), ln: ln, pages: http.NewServeMux()}
	s.web = &http.Server{Handler: s.pages, ReadHeaderTimeout: 10 * time.Second}

	// The page tells the browser the hash of the certificate to trust. The certificate is
	// valid for two weeks; a server that runs longer needs a new one in time.
	host, _, _ := net.SplitHostPort(ln.Addr().String())
	cert, err := webtransport.SelfSigned(host)
	if err != nil {
		ln.Close()
		return nil, err
	}

	// Other sites' pages may not connect.
	byWebTransport := webtransport.New(append(opts, webtransport.WithAllowedOrigins(s.url))...)
	s.tabs = transport.NewServer(handle,
		transport.WithCarriers(byWebTransport), transport.WithMuxes(nativemux.New()))
	s.udp, err = byWebTransport.Listen(addr, &tls.Config{Certificates: []tls.Certificate{cert}}, s.tabs)
	if err != nil {
		ln.Close()
		return nil, err
	}

	s.pages.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		page.Execute(w, map[string]any{
			"URL":  "https://" + s.udp.Addr().String(),
			"Hash": webtransport.CertificateHash(cert),
		})
	})
	s.pages.Handle("GET /backdial.js", http.FileServerFS(files))
	return s, nil
}

// serve accepts tabs until ctx ends, then ends their sessions.
func (s *site) serve(ctx context.Context) error {
	defer s.tabs.Close()
	defer s.udp.Close()
	go s.udp.Serve() // ends with Close
	defer context.AfterFunc(ctx, func() { s.web.Close() })()
	if err := s.web.Serve(s.ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
