// Grpc is a gRPC server on a device, and a backend that calls it, for a single answer and
// for a stream of answers. The service is gRPC's own health service, so that no code has
// to be generated. Yours is registered and called in the same way.
//
// It also shows how to leave. A device that shuts down, or that the server asks to move,
// cuts nothing: it waits for the connections in use. A grpc.ClientConn uses its
// connection until it is closed, so the backend must close it.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/backdial/backdial/transport"
)

func main() {
	log.SetFlags(0)
	if err := run(os.Stdout); err != nil {
		log.Fatal("grpc: ", err)
	}
}

// The states of the device.
const (
	serving    = healthpb.HealthCheckResponse_SERVING
	notServing = healthpb.HealthCheckResponse_NOT_SERVING
)

// run runs a backend and a device, until the device has left.
func run(w io.Writer) error {
	dialers := make(chan *transport.Dialer, 1)
	server := transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) { dialers <- d }))
	defer server.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go server.Serve(ln) // ends with Close

	// The device. It accepts what the backend dials.
	lis, err := transport.DialAndListenContext(context.Background(), "ws://"+ln.Addr().String(), nil)
	if err != nil {
		return err
	}
	defer lis.Close()
	device, condition := grpc.NewServer(), health.NewServer()
	defer device.Stop()
	healthpb.RegisterHealthServer(device, condition)
	go device.Serve(lis) // ends with Stop

	// The backend. The device changes its state while the backend watches, and then
	// leaves.
	left := make(chan bool)
	err = watch(<-dialers, w, func(now healthpb.HealthCheckResponse_ServingStatus) {
		switch now {
		case serving:
			condition.SetServingStatus("", notServing)
		case notServing:
			go func() {
				device.GracefulStop() // closes the listener, and waits for calls
				close(left)
			}()
		}
	})
	if err != nil {
		return err
	}
	<-left
	fmt.Fprintln(w, "The device has left")
	return nil
}
