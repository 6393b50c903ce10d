// Echo is the smallest example: a device connects to a server, which dials it back,
// writes a line and prints the answer. The device echoes what it gets.
//
// Without arguments, both run in one process. To run them on separate machines:
//
//	go run ./examples/echo -serve :8080
//	go run ./examples/echo -connect ws://server:8080/
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/backdial/backdial/transport"
)

func main() {
	log.SetFlags(0)
	addr := flag.String("serve", "", "run only the server, at `address`")
	url := flag.String("connect", "", "run only the device, which connects to the server at `URL`")
	flag.Parse()
	var err error
	switch {
	case *addr != "":
		err = serve(*addr, os.Stdout)
	case *url != "":
		err = connect(*url)
	default:
		err = run(os.Stdout)
	}
	if err != nil {
		log.Fatal("echo: ", err)
	}
}

// run runs a server and a device, until the device has answered.
func run(w io.Writer) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	answered := make(chan error, 1)
	server := transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) { answered <- ask(d, w) }))
	defer server.Close()
	go server.Serve(ln) // ends with Close

	lis, err := transport.DialAndListen("ws://"+ln.Addr().String(), http.Header{"DeviceId": {"123"}})
	if err != nil {
		return err
	}
	defer lis.Close()
	go echo(lis) // ends with Close
	return <-answered
}

// serve asks every device that connects.
func serve(addr string, w io.Writer) error {
	// In production use ListenAndServeTLS, and wss:// in the devices' URL.
	return transport.ListenAndServe(addr, transport.EndpointHandlerFunc(func(d *transport.Dialer) {
		if err := ask(d, w); err != nil {
			fmt.Fprintln(w, "The device at", d.Info().RemoteAddr, "did not answer:", err)
		}
	}))
}

// ask dials a device, writes a line and prints the answer.
func ask(d *transport.Dialer, w io.Writer) error {
	conn, err := d.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	// Some day a device will hang while its connection lives.
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintln(conn, "Hello, device!") // if it fails, so does the next line
	answer, err := bufio.NewReader(io.LimitReader(conn, 1<<10)).ReadString('\n')
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	// The device chooses this header itself: see WithAuthorize.
	fmt.Fprintf(w, "Device %s answers %q\n", d.Header.Get("DeviceId"), answer)
	return nil
}

// connect is the device. It reconnects whenever it loses its server.
func connect(url string) error {
	lis, err := transport.DialAndListen(url, http.Header{"DeviceId": {"123"}},
		transport.WithReconnect(transport.Backoff{}))
	if err != nil {
		return err
	}
	defer lis.Close()
	return echo(lis)
}

// echo sends back what it gets on every connection from the server.
func echo(lis net.Listener) error {
	for {
		conn, err := lis.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			io.Copy(conn, conn)
		}()
	}
}
