package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/transport"
)

// TestAsk checks the results of asking for a device.
func TestAsk(t *testing.T) {
	leak.Check(t)
	d := &device{id: "kiosk-1"}
	stop := make(chan struct{})
	for _, test := range []struct {
		want   string
		answer http.HandlerFunc
	}{
		{"", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, d.page()) }},
		{"✗ WRONG", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, (&device{id: "kiosk-2"}).page()) }},
		{"✗ 503", func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "no device", http.StatusServiceUnavailable)
		}},
		{"✗ cut", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }},
		{"✗ timeout", func(w http.ResponseWriter, r *http.Request) { <-stop }},
	} {
		ctx := t.Context()
		if test.want == "✗ timeout" {
			limited, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			ctx = limited
		}
		web := serve(t, test.answer)
		c := ask(ctx, client(t), web, d)
		if test.want != "" && c.String() != test.want || test.want == "" && c.err != nil {
			t.Errorf("%s: %v, want %q", c, c.err, test.want)
		}
	}
	close(stop)
	gone := httptest.NewServer(nil)
	gone.Close()
	if c := ask(t.Context(), client(t), parse(t, gone.URL), d); c.String() != "✗ refused" {
		t.Errorf("%s: %v", c, c.err)
	}
}

// TestStepFails uses replicas of different clusters, so that each reaches only its own
// device.
func TestStepFails(t *testing.T) {
	leak.Check(t)
	one, two := alone(t, "replica-1"), alone(t, "replica-2")
	s := &show{
		w: io.Discard, client: client(t), front: one, patience: time.Second,
		replicas: []*replica{{name: "replica-1", url: one}},
		devices:  []*device{connect(t, one, "kiosk-1")},
	}
	if err := s.step(t.Context(), step{title: "nothing", do: func() error { return nil }}); err != nil {
		t.Error(err)
	}
	s.replicas = append(s.replicas, &replica{name: "replica-2", url: two})
	var out strings.Builder
	s.w = &out
	err := s.step(t.Context(), step{title: "something", do: func() error { return nil }})
	if err == nil || !strings.Contains(err.Error(), "replica-2 asked for kiosk-1") {
		t.Errorf("error %v", err)
	}
	if !strings.Contains(out.String(), "  replica-2  ✗ 503\n") {
		t.Errorf("printed %s", &out)
	}
	s.replicas[1].down = "is dead"
	if err := s.step(t.Context(), step{title: "nothing more", do: func() error { return nil }}); err != nil {
		t.Error(err)
	}
}

// TestWorst checks what a table shows of several passes.
func TestWorst(t *testing.T) {
	passOf := func(cells ...cell) pass { return pass{rows: []row{{cells: cells}}} }
	p := passOf(cell{took: 1}, cell{took: 2}, cell{took: 3, err: io.EOF}, cell{took: 4})
	p = p.worst(passOf(cell{took: 5}, cell{took: 1}, cell{took: 5}, cell{took: 1, err: io.EOF}))
	for i, want := range []cell{{took: 5}, {took: 2}, {took: 3, err: io.EOF}, {took: 1, err: io.EOF}} {
		if got := p.rows[0].cells[i]; got != want {
			t.Errorf("cell %d: %v, want %v", i, got, want)
		}
	}
}

// alone runs a replica without a cluster.
func alone(t *testing.T, name string) *url.URL {
	t.Helper()
	clients := fleet.New(fleet.ByHeader("DeviceId"))
	server := transport.NewServer(clients, transport.WithAuthorize(clients.Authorize), transport.WithServerID(name))
	t.Cleanup(func() { server.Close() })
	pages := http.NewServeMux()
	pages.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	pages.Handle("/connect", server)
	pages.Handle("/devices/", http.StripPrefix("/devices", &fleet.ReverseProxy{Fleet: clients}))
	return serve(t, pages)
}

// connect returns a device that is connected to a replica or the proxy.
func connect(t *testing.T, to *url.URL, id string) *device {
	t.Helper()
	d := &device{id: id, sessions: 1}
	if err := d.connect(t.Context(), to.String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	return d
}

// serve runs a server until t is done.
func serve(t *testing.T, h http.Handler) *url.URL {
	t.Helper()
	web := httptest.NewServer(h)
	t.Cleanup(web.Close)
	return parse(t, web.URL)
}

func parse(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func client(t *testing.T) *http.Client {
	c := &http.Client{Transport: &http.Transport{}, Timeout: patience}
	t.Cleanup(c.CloseIdleConnections)
	return c
}
