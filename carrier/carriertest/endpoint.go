package carriertest

import (
	"io"
	"net/http"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/faultnet"
	"github.com/backdial/backdial/internal/test/testnet"
)

func endpointCloses(t *testing.T, target Target) {
	if _, ok := target.Carrier.(carrier.Listener); !ok {
		t.Skip("not a Listener")
	}
	t.Run("Connected", func(t *testing.T) { closesBesideConnection(t, target) })
	t.Run("InHandler", func(t *testing.T) { closesBesideHandler(t, target) })
	t.Run("HalfOpen", func(t *testing.T) { closesBesideHandshake(t, target) })
}

// closesBesideConnection expects a connection to go on.
func closesBesideConnection(t *testing.T, target Target) {
	p := plain(t, target)
	p.on.close()
	if err := receive(t, "Serve", p.on.serveErr); !isClosed(err) {
		t.Errorf("Serve of a closed endpoint returned %v, want net.ErrClosed", err)
	}
	p.on.close()

	echoed := start(func() error { _, err := io.CopyN(p.server, p.server, 5); return err })
	if err := echo(p.client, "hello"); err != nil {
		t.Errorf("after the endpoint closed: %v", err)
	}
	if err := receive(t, "echoing", echoed); err != nil {
		t.Errorf("server, after the endpoint closed: %v", err)
	}
	if err := p.on.try(t.Context()); err == nil {
		t.Error("Dial connected to a closed endpoint")
	}
}

// closesBesideHandler closes while a client waits for a handler's answer.
func closesBesideHandler(t *testing.T, target Target) {
	entered, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	s := serve(t, target, func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-release
	})
	dialled := start(func() error { return s.tryUnbounded(t.Context()) })
	receive(t, "the request", entered)
	s.close()
	if err := receiveWithin(t, atOnce, "Dial of an endpoint that has closed before its handler answered", dialled); err == nil {
		t.Error("Dial connected although the endpoint has closed, and its handler has not answered")
	}
}

// closesBesideHandshake closes while a client does not finish its handshake.
func closesBesideHandshake(t *testing.T, target Target) {
	s := serve(t, target, welcome(target))
	var ended <-chan error
	switch s.network {
	case "tcp":
		half := dialRaw(t, s)
		ended = start(func() error { _, err := io.Copy(io.Discard, half); return err })
		if err := s.try(t.Context()); err != nil { // by then the endpoint has accepted half
			t.Fatalf("Dial: %v", err)
		}
	case "udp":
		dialHalf(t, s)
	}
	s.close()
	if err := receive(t, "Serve", s.serveErr); !isClosed(err) {
		t.Errorf("Serve of a closed endpoint returned %v, want net.ErrClosed", err)
	}
	if ended != nil {
		receiveWithin(t, atOnce, "a handshake with an endpoint that has closed", ended)
	}
	listensAgain(t, s)
}

// dialHalf dials s over a network that loses the server's answers, until t ends. It
// returns when the server has got a packet.
func dialHalf(t *testing.T, s *server) {
	t.Helper()
	network := testnet.UDP(t, s.addr, 0)
	network.Set(faultnet.Conditions{Down: faultnet.Way{Swallow: true}})
	half := *s
	half.addr = network.Addr()
	dialled := start(func() error { return half.tryUnbounded(t.Context()) })
	// The client sends a second packet because nothing answered the first. By then the
	// server has had time to see the first.
	await.Until(t, "the client's packets to reach the server", func() bool { return network.Delivered() >= 2 })
	t.Cleanup(func() { receive(t, "Dial with a context that has ended", dialled) })
}

// listensAgain fails t if the address of a closed endpoint without connections does not
// become free.
func listensAgain(t *testing.T, s *server) {
	t.Helper()
	await.Until(t, "Listen at the address of the closed endpoint", func() bool {
		e, err := s.target.Carrier.(carrier.Listener).Listen(s.addr, s.config, http.NotFoundHandler())
		if err != nil {
			return false
		}
		return e.Close() == nil
	})
}
