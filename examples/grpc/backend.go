package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/backdial/backdial/transport"
)

// watch calls a device until it is not to be dialled any more, and tells seen of each
// change.
func watch(d *transport.Dialer, w io.Writer, seen func(healthpb.HealthCheckResponse_ServingStatus)) error {
	// There is no name to look up, as all connections lead to the device, and nothing
	// to encrypt in a session that is: by wss:// and ListenAndServeTLS.
	conn, err := grpc.NewClient("passthrough:///device",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", addr)
		}))
	if err != nil {
		return err
	}
	defer conn.Close()
	client := healthpb.NewHealthClient(conn)

	ctx, cancel := context.WithTimeout(d.Context(), 10*time.Second)
	defer cancel()
	answer, err := client.Check(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	fmt.Fprintln(w, "The device is", answer.Status)

	// A watch has no end of its own, so it gets that of the session, or the moment
	// before in which the session drains. Calls that end by themselves may be awaited.
	// Then conn is closed, for which the device waits.
	stream, err := client.Watch(d.Dialable(), &healthpb.HealthCheckRequest{})
	for err == nil {
		if answer, err = stream.Recv(); err == nil {
			fmt.Fprintln(w, "The device is now", answer.Status)
			seen(answer.Status)
		}
	}
	if !errors.Is(context.Cause(d.Dialable()), transport.ErrDraining) {
		return fmt.Errorf("watch: %w", cmp.Or(d.Err(), err)) // if the device is gone, that is why
	}
	fmt.Fprintln(w, "The device is about to leave")
	return nil
}
