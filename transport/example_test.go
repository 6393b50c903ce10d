package transport_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// A device connects, the server dials it, and they talk.
func Example() {
	done := make(chan bool)
	handler := transport.EndpointHandlerFunc(func(d *transport.Dialer) {
		defer close(done)
		conn, err := d.Dial()
		if err != nil {
			log.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintln(conn, "hola")
		answer, _ := bufio.NewReader(conn).ReadString('\n')
		fmt.Printf("%s says %s", d.Header.Get("DeviceId"), answer)
	})
	server := httptest.NewServer(transport.NewServer(handler))
	defer server.Close()

	lis, err := transport.DialAndListen(server.URL, http.Header{"DeviceId": {"123"}})
	if err != nil {
		log.Fatal(err)
	}
	defer lis.Close()
	conn, err := lis.Accept()
	if err != nil {
		log.Fatal(err)
	}
	io.Copy(conn, conn) // until the server closes it
	conn.Close()
	<-done

	// Output: 123 says hola
}

// A device serves HTTP, and the server is its client.
func ExampleDialer_DialContext() {
	status := make(chan string)
	handler := transport.EndpointHandlerFunc(func(d *transport.Dialer) {
		client := &http.Client{Transport: &http.Transport{DialContext: d.DialContext}}
		answer, err := client.Get("http://device/status") // any host will do
		if err != nil {
			log.Fatal(err)
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		status <- string(body)
	})
	server := httptest.NewServer(transport.NewServer(handler))
	defer server.Close()

	lis, err := transport.DialAndListen(server.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer lis.Close()
	go http.Serve(lis, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "all is well")
	}))
	fmt.Println(<-status)

	// Output: all is well
}

// The server is mounted in a router, behind a check of who may connect.
func ExampleServer_ServeHTTP() {
	devices := transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) {
		fmt.Println("welcome,", d.Header.Get("DeviceId"))
		d.Close()
	}))
	router := http.NewServeMux()
	router.HandleFunc("/devices", func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "secret" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		devices.ServeHTTP(w, r)
	})
	server := httptest.NewServer(router)
	defer server.Close()

	url := server.Listener.Addr().String() + "/devices"
	_, err := transport.DialAndListen("ws://device:guess@"+url, nil)
	fmt.Println(err != nil)
	lis, err := transport.DialAndListen("ws://device:secret@"+url, http.Header{"DeviceId": {"123"}})
	if err != nil {
		log.Fatal(err)
	}
	_, err = lis.Accept()
	fmt.Println(err)

	// Output:
	// true
	// welcome, 123
	// transport: accept: qmux: session ended: closed by the peer
}

// The server asks a database who may connect. A device that comes while the database is
// away is to come back; one that was stolen is not.
func ExampleWithAuthorize() {
	stolen := map[string]bool{"kiosk-7": true}
	lookUp := func(id string) (isStolen bool, err error) {
		if id == "" {
			return false, errors.New("the database is away")
		}
		return stolen[id], nil
	}
	authorize := func(r *http.Request) error {
		isStolen, err := lookUp(r.Header.Get("DeviceId"))
		if err != nil {
			return err // status 503, and the device does not see why
		}
		if isStolen {
			return fmt.Errorf("stolen: %w", transport.ErrForbidden) // status 403, for good
		}
		return nil
	}
	server := httptest.NewServer(transport.NewServer(
		transport.EndpointHandlerFunc(func(d *transport.Dialer) { d.Close() }), transport.WithAuthorize(authorize)))
	defer server.Close()

	for _, id := range []string{"kiosk-1", "kiosk-7", ""} {
		_, err := transport.DialAndListen(server.URL, http.Header{"DeviceId": {id}})
		rejected, _ := errors.AsType[*carrier.RejectedError](err)
		switch {
		case err == nil:
			fmt.Printf("%q is connected\n", id)
		case rejected != nil:
			fmt.Printf("%q: status %d, for good: %v\n", id, rejected.StatusCode, rejected.Final())
		}
	}

	// Output:
	// "kiosk-1" is connected
	// "kiosk-7": status 403, for good: true
	// "": status 503, for good: false
}

// A program with an HTTP server and an HTTP/3 server of its own mounts one
// Server in both: at one address for TCP and UDP, WebSocket and WebTransport
// clients are served, beside everything else that it serves.
func ExampleServer_ServeHTTP_http3() {
	certificate, err := webtransport.SelfSigned("127.0.0.1") // or one from a CA
	if err != nil {
		log.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}}
	byUDP, byTCP := webtransport.New(), ws.New()
	devices := transport.NewServer(
		transport.EndpointHandlerFunc(func(d *transport.Dialer) {}),
		transport.WithCarriers(byUDP, byTCP), transport.WithMuxes(nativemux.New(), qmux.New(), yamuxmux.New()))
	defer devices.Close()
	router := http.NewServeMux()
	router.Handle("/devices", devices)

	tcp, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		log.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	h1 := &http.Server{Handler: router}
	h3 := &http3.Server{Handler: router, TLSConfig: config}
	go h1.Serve(tcp)
	defer h1.Close()
	endpoint, err := byUDP.ListenHTTP3(h3, udp) // instead of h3.Serve(udp)
	if err != nil {
		log.Fatal(err)
	}
	go endpoint.Serve()
	defer endpoint.Close()

	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	for _, c := range []carrier.Carrier{byUDP, byTCP} {
		lis, err := transport.DialAndListenContext(context.Background(), "https://"+tcp.Addr().String()+"/devices", nil,
			transport.WithCarriers(c), transport.WithMuxes(nativemux.New(), qmux.New(), yamuxmux.New()),
			transport.WithTLSConfig(&tls.Config{RootCAs: roots}))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(lis.Info().Carrier, lis.Info().Mux)
		lis.Close()
	}

	// Output:
	// webtransport native
	// ws qmux
}

// The client prefers smux; with a server that does not have it, yamux will do.
func ExampleWithMuxes() {
	handler := transport.EndpointHandlerFunc(func(*transport.Dialer) {})
	modern := httptest.NewServer(transport.NewServer(handler, transport.WithMuxes(yamuxmux.New(), smuxmux.New())))
	defer modern.Close()
	plain := httptest.NewServer(transport.NewServer(handler))
	defer plain.Close()

	for _, server := range []*httptest.Server{modern, plain} {
		lis, err := transport.DialAndListen(server.URL, nil, transport.WithMuxes(smuxmux.New(), yamuxmux.New()))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(lis.(*transport.Listener).Info().Protocol)
		lis.Close()
	}

	// Output:
	// backdial.v1.smux
	// backdial.v1.yamux
}

// A device that serves HTTP leaves without cutting a request: http.Server.Shutdown closes
// the listener, and waits for what is running.
func ExampleListener_Close() {
	answers := make(chan string)
	handler := transport.EndpointHandlerFunc(func(d *transport.Dialer) {
		client := &http.Client{Transport: &http.Transport{DialContext: d.DialContext}}
		answer, err := client.Get("http://device/")
		if err != nil {
			log.Fatal(err)
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		answers <- string(body)
	})
	server := httptest.NewServer(transport.NewServer(handler))
	defer server.Close()

	lis, err := transport.DialAndListenContext(context.Background(), server.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	requested := make(chan bool)
	device := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(requested)
		fmt.Fprint(w, "done")
	})}
	go device.Serve(lis)

	<-requested
	left := make(chan error)
	go func() { left <- device.Shutdown(context.Background()) }()
	fmt.Println(<-answers)
	fmt.Println(<-left)

	// Output:
	// done
	// <nil>
}

// A device that outlives its sessions, and has a fresh token for each attempt.
func ExampleWithReconnect() {
	network := mem.New()
	sessions := make(chan *transport.Dialer)
	server := transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) { sessions <- d }),
		transport.WithCarriers(network))
	server.Addr = "server"
	go server.ListenAndServe()
	defer server.Close()

	token := func(context.Context) (http.Header, error) {
		return http.Header{"Token": {rand.Text()}}, nil
	}
	lis, err := transport.DialAndListen("mem://server", nil,
		transport.WithCarriers(network),
		transport.WithReconnect(transport.Backoff{Min: time.Millisecond}),
		transport.WithHeaderFunc(token))
	if err != nil {
		log.Fatal(err)
	}
	defer lis.Close()
	go http.Serve(lis, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "fine") }))

	first := <-sessions
	first.Close() // a deploy, say
	second := <-sessions
	device := http.Client{Transport: &http.Transport{DialContext: second.DialContext, DisableKeepAlives: true}}
	answer, err := device.Get("http://device/status")
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	status, err := io.ReadAll(answer.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, with another token: %v\n", status, first.Header.Get("Token") != second.Header.Get("Token"))
	// Output: fine, with another token: true
}

// A device holds sessions to two servers behind one address, and can be dialled by both.
func ExampleWithSessions() {
	network := mem.New()
	names := make(chan string)
	var servers []http.Handler
	for _, id := range []string{"replica-1", "replica-2"} {
		s := transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) { names <- d.Info().Server }),
			transport.WithCarriers(network), transport.WithServerID(id))
		defer s.Close()
		servers = append(servers, s)
	}
	requests := 0
	balancer, err := network.Listen("example", nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		servers[requests%len(servers)].ServeHTTP(w, r)
	}))
	if err != nil {
		log.Fatal(err)
	}
	defer balancer.Close()
	go balancer.Serve()

	lis, err := transport.DialAndListen("mem://example", nil, transport.WithCarriers(network),
		transport.WithReconnect(transport.Backoff{}), transport.WithSessions(2))
	if err != nil {
		log.Fatal(err)
	}
	defer lis.Close()
	fmt.Println(<-names)
	fmt.Println(<-names)

	// Unordered output:
	// replica-1
	// replica-2
}
