// Quickstart runs a server and a device in one process. The device connects to the server
// and serves a web page. The server fetches that page from the device, with an ordinary
// HTTP client. It does so with every combination of carrier and multiplexer.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"text/tabwriter"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/hashicorpyamux"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/xtacismux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

func main() {
	log.SetFlags(0)
	if err := run(os.Stdout); err != nil {
		log.Fatal("quickstart: ", err)
	}
}

func run(w io.Writer) error {
	certificate, err := webtransport.SelfSigned("127.0.0.1")
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "carrier\tmux\tnegotiated\tconnect\tfirst request\tnext request")
	for _, c := range []carrier.Carrier{ws.New(), webtransport.New(), mem.New()} {
		muxes := []mux.Muxer{yamuxmux.New(), smuxmux.New(), qmux.New(), hashicorpyamux.New(), xtacismux.New()}
		if _, ok := c.(carrier.StreamCarrier); ok {
			muxes = append(muxes, nativemux.New())
		}
		for _, m := range muxes {
			r, err := try(c, m, certificate)
			if err != nil {
				return fmt.Errorf("%s and %s: %w", c.Name(), m.Name(), err)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%v\t%v\t%v\n",
				r.info.Carrier, r.info.Mux, r.info.Protocol, r.connect, r.first, r.next)
		}
	}
	return table.Flush()
}

type result struct {
	info                 transport.Info
	connect, first, next time.Duration
}

// try runs a server and a device with c and m.
func try(c carrier.Carrier, m mux.Muxer, certificate tls.Certificate) (r result, err error) {
	// The server. Its handler gets a Dialer for each device that connects.
	dialers := make(chan *transport.Dialer)
	server := transport.NewServer(
		transport.EndpointHandlerFunc(func(d *transport.Dialer) { dialers <- d }),
		transport.WithCarriers(c), transport.WithMuxes(m))
	defer server.Close()
	url, stop, err := listen(c, server, certificate)
	if err != nil {
		return r, err
	}
	defer stop()

	// The device. It accepts what the server dials.
	start := time.Now()
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	lis, err := transport.DialAndListen(url, nil,
		transport.WithCarriers(c), transport.WithMuxes(m), transport.WithTLSConfig(&tls.Config{RootCAs: roots}))
	if err != nil {
		return r, err
	}
	r.connect = time.Since(start).Round(time.Microsecond)
	go http.Serve(lis, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, page)
	}))

	// The server again: it fetches the page from the device, twice.
	d := <-dialers
	client := &http.Client{Transport: &http.Transport{DialContext: d.DialContext}}
	for _, took := range []*time.Duration{&r.first, &r.next} {
		start := time.Now()
		if err := fetch(client); err != nil {
			return r, err
		}
		*took = time.Since(start).Round(time.Microsecond)
	}
	r.info = d.Info()
	return r, nil
}

// listen runs server at an address of its own, until stop is called.
func listen(c carrier.Carrier, server *transport.Server, certificate tls.Certificate) (url string, stop func() error, err error) {
	if l, ok := c.(carrier.Listener); ok { // it needs no TCP port
		e, err := l.Listen("127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}}, server)
		if err != nil {
			return "", nil, err
		}
		go e.Serve()
		return schemes[c.Name()] + e.Addr().String(), e.Close, nil
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	go server.Serve(ln)
	return schemes[c.Name()] + ln.Addr().String(), ln.Close, nil
}

// schemes maps carriers to the schemes of their URLs.
var schemes = map[string]string{"ws": "ws://", "webtransport": "https://", "mem": "mem://"}

const page = "<h1>Hello from behind the NAT</h1>"

func fetch(client *http.Client) error {
	// The URL's host does not matter: all of the client's connections lead to the device.
	answer, err := client.Get("http://device/")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && string(body) != page {
		err = fmt.Errorf("the device answered %q", body)
	}
	return err
}
