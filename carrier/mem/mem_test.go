package mem_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/internal/test/leak"
)

func TestContract(t *testing.T) {
	carriertest.Test(t, carriertest.Target{Carrier: mem.New(), Scheme: "mem", Addr: "carriertest"})
}

// serve starts an endpoint called server that calls h, until t ends.
func serve(t *testing.T, network *mem.Carrier, h http.HandlerFunc) {
	t.Helper()
	e, err := network.Listen("server", nil, h)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- e.Serve() }()
	t.Cleanup(func() {
		e.Close()
		<-done
	})
}

// request returns a request for the endpoint called server.
func request(protocols ...string) *carrier.Request {
	u := &url.URL{Scheme: "mem", Host: "server", Path: "/"}
	return &carrier.Request{URL: u, Protocols: protocols}
}

func TestListenTwice(t *testing.T) {
	network := mem.New()
	first, err := network.Listen("server", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	const want = "mem: listen mem://server: address already in use"
	if _, err := network.Listen("server", nil, nil); !errors.Is(err, syscall.EADDRINUSE) || err.Error() != want {
		t.Errorf("second Listen returned %v, want %v", err, want)
	}
	first.Close()
	again, err := network.Listen("server", nil, nil)
	if err != nil {
		t.Fatalf("Listen after Close: %v", err)
	}
	first.Close() // does not take the name from its successor
	if _, err := network.Listen("server", nil, nil); err == nil {
		t.Error("closing an endpoint twice frees the name of another")
	}
	again.Close()
}

func TestDialFails(t *testing.T) {
	leak.Check(t)
	network := mem.New()
	serve(t, network, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/panic":
			io.WriteString(w, "half an answer")
			panic("handler")
		case "/missing":
			http.NotFound(w, r)
		case "/late":
			io.WriteString(w, "an answer")
			const want = "mem: upgrade: already answered with status 200"
			if _, err := network.Upgrade(w, r, ""); err == nil || err.Error() != want {
				t.Errorf("Upgrade returned %v, want %v", err, want)
			}
		}
	})
	for rawURL, want := range map[string]string{
		"http://server/":               `mem: dial http://server/: unsupported URL scheme "http", want mem`,
		"mem://nobody/":                `mem: dial mem://nobody/: connection refused`,
		"mem:///":                      `mem: dial mem:///: connection refused`,
		"mem://server":                 `mem: dial mem://server: server answered 200 OK`,
		"mem://server/missing":         `mem: dial mem://server/missing: server answered 404 Not Found: "404 page not found"`,
		"mem://server/late":            `mem: dial mem://server/late: server answered 200 OK: "an answerInternal Server Error"`,
		"mem://me:secret@server/panic": `mem: dial mem://xxxxx@server/panic: server answered 500 Internal Server Error`,
	} {
		u, err := url.Parse(rawURL)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := network.Dial(t.Context(), &carrier.Request{URL: u}); err == nil || err.Error() != want {
			t.Errorf("Dial returned\n%v, want\n%v", err, want)
		}
	}
}

func TestUpgradeFails(t *testing.T) {
	leak.Check(t)
	network := mem.New()
	serve(t, network, func(w http.ResponseWriter, r *http.Request) {
		const notOffered = `mem: upgrade: protocol "third" was not offered`
		if _, err := network.Upgrade(httptest.NewRecorder(), r, ""); err == nil {
			t.Error("Upgrade made a connection of a foreign ResponseWriter")
		}
		if _, err := network.Upgrade(w, r, "third"); err == nil || err.Error() != notOffered {
			t.Errorf("Upgrade returned %v, want %v", err, notOffered)
		}
	})
	_, err := network.Dial(t.Context(), request("first", "second"))
	if rejected, ok := errors.AsType[*carrier.RejectedError](err); !ok || rejected.StatusCode != http.StatusInternalServerError {
		t.Errorf("Dial returned %v, want status 500", err)
	}
}

// A wrapped is a ResponseWriter as middleware makes them.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestUpgradeBehindMiddleware(t *testing.T) {
	leak.Check(t)
	network := mem.New()
	serve(t, network, func(w http.ResponseWriter, r *http.Request) {
		conn, err := network.Upgrade(wrapped{w}, r, "")
		if err != nil {
			t.Errorf("Upgrade: %v", err)
			return
		}
		conn.Close()
		if _, err := network.Upgrade(w, r, ""); err == nil {
			t.Error("a request was upgraded twice")
		}
	})
	conn, err := network.Dial(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// A handler learns that the client has given up, and cannot connect to it.
func TestClientGivesUp(t *testing.T) {
	leak.Check(t)
	network := mem.New()
	ctx, cancel := context.WithCancel(t.Context())
	upgraded := make(chan error, 1)
	serve(t, network, func(w http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
		_, err := network.Upgrade(w, r, "")
		upgraded <- err
	})
	if _, err := network.Dial(ctx, request()); !errors.Is(err, context.Canceled) {
		t.Errorf("Dial returned %v, want %v", err, context.Canceled)
	}
	if err := <-upgraded; err == nil {
		t.Error("Upgrade connected to a client that has given up")
	}
}

// Dial waits for Serve, like a connection in the backlog of a socket.
func TestDialBeforeServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := mem.New()
		e, err := network.Listen("server", nil, http.NotFoundHandler())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := network.Dial(ctx, request()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Dial returned %v, want %v", err, context.DeadlineExceeded)
		}
		dialled := make(chan error, 1)
		go func() { _, err := network.Dial(t.Context(), request()); dialled <- err }()
		synctest.Wait()
		e.Close()
		if err := <-dialled; !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial of an endpoint that closes returned %v, want %v", err, syscall.ECONNREFUSED)
		}
	})
}

// In a bubble, waiting for a peer is waiting for time to pass.
func TestBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := mem.New()
		serve(t, network, func(w http.ResponseWriter, r *http.Request) {
			conn, err := network.Upgrade(w, r, "")
			if err != nil {
				t.Errorf("Upgrade: %v", err)
				return
			}
			defer conn.Close()
			<-time.After(time.Hour)
			io.Copy(io.Discard, conn)
		})
		conn, err := network.Dial(t.Context(), request())
		if err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		if _, err := conn.Write(make([]byte, 1<<20)); err != nil {
			t.Errorf("Write: %v", err)
		}
		if took := time.Since(started); took != time.Hour {
			t.Errorf("Write returned after %v: it is not held up by a peer that reads after 1h", took)
		}
		conn.Close()
	})
}
