// Program does what programs for wslis do: its server dials a device, by itself or with an
// HTTP client, in plain text and with TLS. It prints what the device says.
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
	"time"

	"github.com/guillermo/wslis"
	"github.com/guillermo/wslis/rhttp"
)

func main() {
	addr, said := os.Args[2], make(chan string)
	switch os.Args[1] {
	case "echo":
		go func() { log.Fatal(wslis.ListenAndServe(addr, greet(said))) }()
		go device("ws://"+addr, echo)
	case "echo-tls":
		go func() { log.Fatal(wslis.ListenAndServeTLS(addr, "ssl.crt", "ssl.key", greet(said))) }()
		go device("wss://"+addr, echo)
	case "mounted":
		mux := http.NewServeMux()
		mux.Handle("/devices", &wslis.Server{Handler: greet(said)})
		go func() { log.Fatal(http.ListenAndServe(addr, mux)) }()
		go device("ws://"+addr+"/devices", echo)
	case "web":
		go func() { log.Fatal(wslis.ListenAndServe(addr, get("http://kiosk/hola", said))) }()
		go device("ws://"+addr, func(lis net.Listener) error { return http.Serve(lis, pages) })
	case "web-tls":
		go func() { log.Fatal(wslis.ListenAndServe(addr, get("https://localhost/hola", said))) }()
		go device("ws://"+addr, func(lis net.Listener) error { return http.ServeTLS(lis, pages, "ssl.crt", "ssl.key") })
	}
	fmt.Println(<-said)
}

// greet says something to each device, and reads what it says.
func greet(said chan<- string) wslis.EndpointHandler {
	return wslis.EndpointHandlerFunc(func(d *wslis.Dialer) {
		if id := d.Header.Get("DeviceId"); id != "123" {
			log.Fatal("who is ", id)
		}
		conn, err := d.Dial()
		if err != nil {
			log.Fatal(err)
		}
		conn.Write([]byte("hola"))
		buf := make([]byte, 1024)
		n, err := conn.Read(buf)
		if err != nil {
			log.Fatal(err)
		}
		said <- string(buf[:n])
	})
}

// get reads a page of each device.
func get(url string, said chan<- string) wslis.EndpointHandler {
	return rhttp.ClientHandlerFunc(func(header http.Header, client *http.Client) {
		if id := header.Get("DeviceId"); id != "123" {
			log.Fatal("who is ", id)
		}
		certificate, err := os.ReadFile("ssl.crt")
		if err != nil {
			log.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(certificate)
		client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}
		answer, err := client.Get(url)
		if err != nil {
			log.Fatal(err)
		}
		defer answer.Body.Close()
		page, err := io.ReadAll(answer.Body)
		if err != nil {
			log.Fatal(err)
		}
		said <- string(page)
	})
}

// device connects as soon as there is a server.
func device(url string, serve func(net.Listener) error) {
	client := &wslis.Client{URL: url, Header: http.Header{"DeviceId": []string{"123"}}, HandshakeTimeout: time.Minute}
	lis, err := client.DialAndListen()
	for err != nil {
		time.Sleep(10 * time.Millisecond)
		lis, err = wslis.DialAndListen(client.URL, client.Header)
	}
	log.Fatal(serve(lis))
}

func echo(lis net.Listener) error {
	for {
		conn, err := lis.Accept()
		if err != nil {
			return err
		}
		buf := make([]byte, 1024)
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		conn.Write(buf[:n])
		conn.Close()
	}
}

var pages = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(r.URL.Path[1:])) })
