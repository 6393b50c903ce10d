// Forward offers a TCP service that only a device can reach, such as a database in its
// network, on the backend: it forwards connections to a local port of the backend to the
// device, which dials the service. Each direction ends by itself, as HTTP/1.0, nc -N and
// others require. A connection that is cut at one end is reset at the other, so that half
// of an answer does not look complete.
//
// Without arguments it forwards to a service of its own, once. To forward to another:
//
//	go run ./examples/forward -listen 127.0.0.1:2222 -target 192.168.1.10:22
//
// Only the device chooses the target: a compromised server reaches that service, and not
// the network around it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/transport"
)

func main() {
	log.SetFlags(0)
	listen := flag.String("listen", "127.0.0.1:0", "`address` at which the backend offers the service")
	target := flag.String("target", "", "`address` at which the device reaches the service")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	local, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal("forward: ", err)
	}
	if *target == "" {
		err = demonstrate(ctx, local, os.Stdout)
	} else {
		fmt.Println("Forwarding", local.Addr(), "to", *target)
		err = run(ctx, local, *target)
	}
	if err != nil {
		log.Fatal("forward: ", err)
	}
}

// run forwards from the backend's local port to the device's target, until ctx ends.
func run(ctx context.Context, local net.Listener, target string) error {
	defer local.Close()
	// The backend has one device, the one that connected last. Use WithAuthorize to decide
	// which one may.
	var device atomic.Pointer[transport.Dialer]
	connected := make(chan struct{})
	server := transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) {
		if device.Swap(d) == nil {
			close(connected)
		}
	}))
	defer server.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go server.Serve(ln) // ends with Close

	// The device. On another machine its URL is wss://, and the server has a certificate.
	lis, err := transport.DialAndListenContext(ctx, "ws://"+ln.Addr().String(), nil,
		transport.WithReconnect(transport.Backoff{}))
	if err != nil {
		return err
	}
	<-connected // or the first connections have nowhere to go

	ctx, stop := context.WithCancel(ctx)
	halves := make(chan error, 2)
	half := func(ln net.Listener, dial func(context.Context) (net.Conn, error)) {
		defer stop() // neither is useful alone
		halves <- forward(ctx, ln, dial)
	}
	go half(local, func(ctx context.Context) (net.Conn, error) {
		return device.Load().DialContext(ctx, "", "") // no address: the device knows its target
	})
	go half(lis, func(ctx context.Context) (net.Conn, error) {
		dialer := net.Dialer{Timeout: 10 * time.Second}
		return dialer.DialContext(ctx, "tcp", target)
	})
	return errors.Join(<-halves, <-halves)
}
