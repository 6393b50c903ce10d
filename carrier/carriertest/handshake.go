package carriertest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
)

const (
	// ownTimeout bounds handshakes that only the carrier bounds.
	ownTimeout = 30 * time.Second

	// maxHandshake is more bytes than an end may take from a peer that does not finish a
	// handshake. It includes the kernel's buffers.
	maxHandshake = 16 << 20

	// writeBuffer is the kernel's on the end that counts.
	writeBuffer = 64 << 10
)

// What a peer sends instead of finishing a handshake.
const (
	answerHead    = "HTTP/1.1 101 Switching Protocols\r\n"
	requestHead   = "GET / HTTP/1.1\r\nHost: server\r\n"
	endlessLine   = "X-Endless: "
	endlessHeader = "X-Endless: a\r\n"
)

func boundsHandshakes(t *testing.T, target Target) {
	if target.Impatient != nil {
		target.Carrier = target.Impatient
	}
	t.Run("Client", func(t *testing.T) { clientBoundsHandshakes(t, target) })
	t.Run("Server", func(t *testing.T) { serverBoundsHandshakes(t, target) })
}

// clientBoundsHandshakes dials servers that never finish a handshake, all at once and
// without a deadline.
func clientBoundsHandshakes(t *testing.T, target Target) {
	s := serve(t, target, http.NotFound)
	if s.network != "tcp" && s.network != "udp" {
		t.Skipf("the suite has no silent servers on a network called %q", s.network)
	}
	dials := map[string]<-chan error{"silent": dialSilent(t, *s)}
	if s.network == "tcp" {
		dials["dripping"] = dialUnfinished(t, *s, func(c net.Conn) error { return drip(c, answerHead+endlessLine) })
		dials["endless line"] = dialUnfinished(t, *s, func(c net.Conn) error { return flood(c, answerHead+endlessLine, "aaaa") })
		dials["endless headers"] = dialUnfinished(t, *s, func(c net.Conn) error { return flood(c, answerHead, endlessHeader) })
	}
	for name, dialled := range dials {
		err := receiveWithin(t, ownTimeout, "Dial without a deadline of a server that does not answer, "+name, dialled)
		if _, ok := errors.AsType[*carrier.RejectedError](err); ok || err == nil {
			t.Errorf("Dial of a server that does not answer, %s, returned %v, want an error that is no RejectedError", name, err)
		}
	}
}

// dialSilent starts a Dial to a server that sends nothing.
func dialSilent(t *testing.T, s server) <-chan error {
	t.Helper()
	silence(t, &s)
	return start(func() error { return s.tryUnbounded(t.Context()) })
}

// dialUnfinished starts a Dial to a server that runs answer, over TLS if the target uses
// it.
func dialUnfinished(t *testing.T, s server, answer func(net.Conn) error) <-chan error {
	t.Helper()
	serveRaw(t, &s, func(conn net.Conn) {
		conn.(*net.TCPConn).SetWriteBuffer(writeBuffer)
		if err := answer(secure(conn, s.config, tls.Server)); errors.Is(err, errFlood) {
			t.Errorf("Dial: %v", err)
		}
	})
	return start(func() error { return s.tryUnbounded(t.Context()) })
}

// serverBoundsHandshakes uses clients that never finish a handshake, all at once. Other
// clients must not be affected.
func serverBoundsHandshakes(t *testing.T, target Target) {
	if _, ok := target.Carrier.(carrier.Listener); !ok {
		t.Skip("not a Listener: the HTTP server bounds its handshakes")
	}
	s := serve(t, target, welcome(target))
	s.needNetwork(t, "tcp")
	ended := make(map[string]<-chan error)
	silent := dialRaw(t, s)
	ended["silent"] = start(func() error { _, err := io.Copy(io.Discard, silent); return err })
	ended["dripping"] = unfinished(t, s, func(c net.Conn) error { return drip(c, requestHead+endlessLine) })
	ended["endless line"] = unfinished(t, s, func(c net.Conn) error { return flood(c, requestHead+endlessLine, "aaaa") })
	ended["endless headers"] = unfinished(t, s, func(c net.Conn) error { return flood(c, requestHead, endlessHeader) })
	if err := s.try(t.Context()); err != nil {
		t.Errorf("Dial beside clients that do not finish their handshakes: %v", err)
	}
	for name, done := range ended {
		if err := receiveWithin(t, ownTimeout, "a handshake of a client that does not finish it, "+name, done); errors.Is(err, errFlood) {
			t.Errorf("handshake of a client, %s: %v", name, err)
		}
	}
}

// unfinished starts a client that runs ask, over TLS if the target uses it.
func unfinished(t *testing.T, s *server, ask func(net.Conn) error) <-chan error {
	t.Helper()
	raw := dialRaw(t, s)
	raw.(*net.TCPConn).SetWriteBuffer(writeBuffer)
	conn := secure(raw, s.clientTLS(t), tls.Client)
	if secured, ok := conn.(*tls.Conn); ok {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := secured.HandshakeContext(ctx); err != nil {
			t.Fatalf("TLS handshake beside a silent client: %v", err)
		}
	}
	return start(func() error { return ask(conn) })
}

var errFlood = fmt.Errorf("%d MiB were taken without an end of the handshake", maxHandshake>>20)

// flood is pour with a limit that must not be reached.
func flood(conn net.Conn, head, again string) error {
	if n, err := pour(conn, head, again, maxHandshake); n < maxHandshake {
		return err
	}
	return errFlood
}
