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

// watch calls a device until it must not be dialled any more, and calls seen for each
// change.
func watch(d *transport.Dialer, w io.Writer, seen func(healthpb.HealthCheckResponse_ServingStatus)) error {
	// There is no name to look up, because all connections lead to the device, and nothing
	// to encrypt: use wss:// and ListenAndServeTLS for the session.
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

	// A watch does not end by itself, so it ends with d.Dialable: with the session, or
	// when the session starts to drain. Calls that end by themselves may finish. Then conn
	// is closed; the device waits for that.
	stream, err := client.Watch(d.Dialable(), &healthpb.HealthCheckRequest{})
	for err == nil {
		if answer, err = stream.Recv(); err == nil {
			fmt.Fprintln(w, "The device is now", answer.Status)
			seen(answer.Status)
		}
	}
	if !errors.Is(context.Cause(d.Dialable()), transport.ErrDraining) {
		return fmt.Errorf("watch: %w", cmp.Or(d.Err(), err)) // if the device is gone, that is the reason
	}
	fmt.Fprintln(w, "The device is about to leave")
	return nil
}
