package main

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/transport"
)

// patience bounds every wait, on a loaded machine under the race detector.
const patience = time.Minute

const want = `The device is SERVING
The device is now SERVING
The device is now NOT_SERVING
The device is about to leave
The device has left
`

func TestRun(t *testing.T) {
	backdialtest.CheckLeaks(t)
	var out strings.Builder
	if err := run(&out); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("printed %q", &out)
	}
}

func TestCommand(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "run", ".")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
		t.Errorf("%v: printed %q, %v", cmd, out, err)
	}
}

// TestServerDrains makes the server ask the device to move, while it is watched.
func TestServerDrains(t *testing.T) {
	backdialtest.CheckLeaks(t)
	d, _, watched := watching(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := d.Shutdown(ctx); err != nil {
		t.Errorf("the session was cut: %v", err)
	}
	if err := <-watched; err != nil {
		t.Errorf("watch: %v", err)
	}
}

// TestDeviceIsLost expects a lost device to differ from one that leaves.
func TestDeviceIsLost(t *testing.T) {
	backdialtest.CheckLeaks(t)
	_, lis, watched := watching(t, transport.WithCloseGrace(-1)) // so that Close does not take leave
	lis.Close()
	err := <-watched
	if code := status.Code(err); !errors.Is(err, transport.ErrClientGone) && code != codes.Unavailable {
		t.Errorf("watch: %v", err)
	}
}

// watching returns both ends of a session whose device is being watched.
func watching(t *testing.T, opts ...transport.ClientOption) (d *transport.Dialer, lis *transport.Listener, watched chan error) {
	t.Helper()
	dialers := make(chan *transport.Dialer, 1)
	server := transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) { dialers <- d }))
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	t.Cleanup(func() { server.Close() })
	lis, err := transport.DialAndListenContext(t.Context(), web.URL, nil, opts...)
	if err != nil {
		t.Fatal(err)
	}
	device := grpc.NewServer()
	t.Cleanup(device.Stop)
	healthpb.RegisterHealthServer(device, health.NewServer())
	go device.Serve(lis)

	d, watched = <-dialers, make(chan error, 1)
	seen := make(chan healthpb.HealthCheckResponse_ServingStatus, 1)
	go func() {
		watched <- watch(d, io.Discard, func(s healthpb.HealthCheckResponse_ServingStatus) { seen <- s })
	}()
	select {
	case <-seen:
	case err := <-watched:
		t.Fatal("watch: ", err)
	}
	return d, lis, watched
}
