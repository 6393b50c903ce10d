package transporttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

// A deployment is an address at which one server replaces another.
type deployment struct {
	stack   Stack
	current atomic.Pointer[transport.Server]
	dialers chan *transport.Dialer
}

// deploy puts another server in the place of the current one, which it returns.
func (d *deployment) deploy(t *testing.T) (before *transport.Server) {
	return d.current.Swap(d.stack.newServer(t, d.dialers, transport.WithDrainSpread(100*time.Millisecond)))
}

func (d *deployment) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.current.Load().ServeHTTP(w, r)
}

// clientMoves deploys again and again, while it dials the client all the time and loses
// nothing.
func clientMoves(t *testing.T, s Stack) {
	d := &deployment{stack: s, dialers: make(chan *transport.Dialer, 1)}
	d.deploy(t)
	url, tls, stop := s.Serve(t, d)
	defer stop()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	gone := make(chan error, 10)
	lis, err := s.listen(ctx, url, nil, tls, transport.WithReconnect(transport.Backoff{
		Min: 10 * time.Millisecond, Max: 100 * time.Millisecond, Stable: time.Millisecond,
	}), transport.WithTrace(tellGone(gone)))
	if err != nil {
		t.Fatal("dial and listen:", err)
	}
	defer lis.Close()
	go serveEcho(lis)
	dialer := await(t, "Dialer", d.dialers)
	for range 3 {
		running, err := dialer.Dial()
		if err != nil {
			t.Fatal("dial:", err)
		}
		done := make(chan error, 1)
		before := d.deploy(t)
		go func() { done <- before.Shutdown(t.Context()) }()
		old := dialer
		dialer = await(t, "next Dialer", d.dialers)
		if err := old.Err(); err != nil {
			t.Error("the session ended before the next one began:", err)
		}
		await(t, "end of dialling", old.Draining())
		if _, err := old.Dial(); !errors.Is(err, transport.ErrDraining) {
			t.Errorf("dial: %v, want transport.ErrDraining", err)
		}
		echoes(t, dialer)
		exchange(t, running)
		if err := await(t, "end of Shutdown", done); err != nil {
			t.Error("shutdown:", err)
		}
		await(t, "end of the session", old.Done())
		checkEnd(t, "Dialer", old.Err(), transport.EndMoved)
		checkEnd(t, "client", await(t, "end of the client's session", gone), transport.EndMoved)
	}
}

// exchange makes an echo answer with more than a window, and closes the connection.
func exchange(t *testing.T, c net.Conn) {
	t.Helper()
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	go func() {
		c.Write(sent)
		c.(mux.Stream).CloseWrite()
	}()
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("echo: %d of %d bytes, %v", len(got), len(sent), err)
	}
}

// clientDials opens connections in the other direction too.
func clientDials(t *testing.T, s Stack) {
	handled := make(chan *transport.Dialer, 10)
	made := s.start(t, nil, []transport.ServerOption{
		transport.WithAcceptFromClient(func(d *transport.Dialer, c net.Conn) {
			defer c.Close()
			io.Copy(c, c)
			handled <- d
		}),
	}, nil)
	go serveEcho(made.listener)
	for range 3 {
		up, err := made.listener.Dial()
		if err != nil {
			t.Fatal("dial:", err)
		}
		down, err := made.dialer.Dial()
		if err != nil {
			t.Fatal("dial:", err)
		}
		exchange(t, up)
		exchange(t, down)
		if d := await(t, "end of the handler", handled); d != made.dialer {
			t.Error("the handler got another Dialer")
		}
	}
	made.server.Close()
	await(t, "end of the session", made.listener.Done())
	if _, err := made.listener.Dial(); !errors.Is(err, mux.ErrSessionEnded) {
		t.Errorf("dial: %v, want mux.ErrSessionEnded", err)
	}
}

// In clientMayNotDial a server refuses connections of a client, at first without ending its
// session.
func clientMayNotDial(t *testing.T, s Stack) {
	made := s.start(t, nil, nil, nil)
	go serveEcho(made.listener)
	for range 3 {
		c, err := made.listener.Dial()
		if err != nil {
			t.Fatal("dial:", err)
		}
		c.SetDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, mux.ErrReset) {
			t.Errorf("read: %v, want mux.ErrReset", err)
		}
		c.Close()
	}
	echoes(t, made.dialer)
	for made.dialer.Err() == nil {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if c, err := made.listener.DialContext(ctx, "", ""); err == nil {
			c.SetDeadline(time.Now().Add(patience))
			c.Read(make([]byte, 1))
			c.Close()
		} else if ctx.Err() != nil {
			t.Fatal("a client goes on trying:", err)
		}
		cancel()
	}
	if err := made.dialer.Err(); !errors.Is(err, mux.ErrProtocol) {
		t.Errorf("error %v, want mux.ErrProtocol", err)
	}
}
