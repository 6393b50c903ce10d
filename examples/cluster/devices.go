package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/backdial/backdial/transport"
)

// A device knows only the address of the proxy.
type device struct {
	id       string
	sessions int // to different replicas
	listener *transport.Listener
}

func newDevices() []*device {
	return []*device{
		{id: "kiosk-1", sessions: 1},
		{id: "kiosk-2", sessions: 1},
		{id: "camera-1", sessions: 1},
		{id: "camera-2", sessions: 1},
		{id: "van-1", sessions: 2},
		{id: "van-2", sessions: 2},
	}
}

// connect connects the device, which serves its page until it is closed.
func (d *device) connect(ctx context.Context, url string) (err error) {
	d.listener, err = transport.DialAndListenContext(ctx, url+"/connect", http.Header{"DeviceId": {d.id}},
		transport.WithReconnect(transport.Backoff{Min: 200 * time.Millisecond, Max: time.Second}),
		transport.WithKeepAlive(time.Second, 500*time.Millisecond), // a real device waits longer
		transport.WithSessions(d.sessions))
	if err != nil {
		return fmt.Errorf("device %s: %w", d.id, err)
	}
	go http.Serve(d.listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // ends with close
		fmt.Fprint(w, d.page())
	}))
	return nil
}

// page is the device's page, different from all others.
func (d *device) page() string { return fmt.Sprintf("I am %s.\n", d.id) }

func (d *device) close() {
	if d.listener != nil {
		d.listener.Close()
	}
}

// replicas returns the replicas to which the device is connected.
func (d *device) replicas() []string {
	var names []string
	for _, s := range d.listener.Sessions() {
		if s.Server != "" && !slices.Contains(names, s.Server) {
			names = append(names, s.Server)
		}
	}
	slices.Sort(names)
	return names
}

// connectedTo names the devices that are connected to a replica.
func connectedTo(devices []*device, replica string) string {
	var ids []string
	for _, d := range devices {
		if slices.Contains(d.replicas(), replica) {
			ids = append(ids, d.id)
		}
	}
	if len(ids) == 0 {
		return "none"
	}
	return strings.Join(ids, ", ")
}
