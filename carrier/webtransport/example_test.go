package webtransport_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"

	"github.com/quic-go/quic-go/http3"

	"github.com/backdial/backdial/carrier/webtransport"
)

// A program with an HTTP/3 server of its own serves pages and connections at
// the same port.
func ExampleCarrier_ListenHTTP3() {
	certificate, err := webtransport.SelfSigned("localhost")
	if err != nil {
		log.Fatal(err)
	}
	socket, err := net.ListenPacket("udp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	c := webtransport.New()
	mux := http.NewServeMux()
	mux.HandleFunc("/page", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	mux.HandleFunc("/connect", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := c.Offer(r); !ok {
			http.NotFound(w, r)
			return
		}
		conn, err := c.Upgrade(w, r, "")
		if err != nil {
			return
		}
		go io.Copy(conn, conn)
	})
	endpoint, err := c.ListenHTTP3(&http3.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}},
		Handler:   mux,
	}, socket)
	if err != nil {
		log.Fatal(err)
	}
	go endpoint.Serve()
	endpoint.Close()
	fmt.Println(endpoint.Addr().Network())
	// Output: udp
}
