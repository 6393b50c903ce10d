package ws

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/url"

	"github.com/backdial/backdial/internal/belowtls"
	"github.com/backdial/backdial/internal/sockopt"
)

// maxHandshake bounds the bytes that a server and a proxy may send before the connection
// exists: certificates and response headers. Servers limit request headers to between 8
// KiB and 1 MiB; their answers are shorter.
const maxHandshake = 128 << 10

var errEndless = fmt.Errorf("server sent more than %d KiB without completing the handshake", maxHandshake>>10)

// A handshake is the state of one Dial.
type handshake struct {
	proxy  *url.URL // nil: none
	tls    *tls.Config
	server string // the name that its certificate must have

	conn      *limitedConn // nil before the TCP connection exists
	connected bool         // to the server, through the proxy if there is one
	stop      func() bool
	head      *headConn      // the server's answer is read from it; nil before that
	below     *belowtls.Conn // TLS to the server runs on it; nil if it may not
}

// connect connects to addr, through the proxy if there is one.
func (h *handshake) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := h.reach(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	h.head = &headConn{Conn: conn}
	return h.head, nil
}

// connectTLS is connect over TLS.
func (h *handshake) connectTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := h.reach(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	config := http1(h.tls)
	if config.ServerName == "" {
		config.ServerName = h.server
	}
	if config.Renegotiation == tls.RenegotiateNever { // which reads and writes at any time
		h.below = belowtls.New(conn)
		conn = h.below
	}
	secured := tls.Client(conn, config)
	if err := shakeHands(ctx, secured); err != nil {
		h.conn.Close()
		return nil, err
	}
	h.head = &headConn{Conn: secured}
	return h.head, nil
}

// shakeHands performs the TLS handshake, and calls the trace of ctx.
func shakeHands(ctx context.Context, conn *tls.Conn) error {
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.TLSHandshakeStart != nil {
		trace.TLSHandshakeStart()
	}
	err := conn.HandshakeContext(ctx)
	if trace != nil && trace.TLSHandshakeDone != nil {
		trace.TLSHandshakeDone(conn.ConnectionState(), err)
	}
	return err
}

// reach connects to addr, through the proxy if there is one.
func (h *handshake) reach(ctx context.Context, network, addr string) (net.Conn, error) {
	var conn net.Conn
	var err error
	if h.proxy == nil {
		conn, err = h.dialTCP(ctx, network, addr)
	} else {
		conn, err = h.throughProxy(ctx, network, addr)
	}
	h.connected = err == nil
	return conn, err
}

// dialTCP connects to addr. The connection is closed if ctx ends before the call of
// [handshake.end].
func (h *handshake) dialTCP(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: sockopt.KeepAlive}
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	h.conn = &limitedConn{Conn: conn, left: maxHandshake}
	h.stop = context.AfterFunc(ctx, func() { conn.Close() })
	return h.conn, nil
}

// end lifts the limits of the handshake. It reports whether the connection is still open,
// which the end of ctx closes.
func (h *handshake) end() bool {
	if h.conn == nil {
		return false
	}
	h.conn.left = unlimited
	return h.stop()
}

// carries returns the connection to the server, when its limits have been lifted.
func (h *handshake) carries() net.Conn {
	switch {
	case h.head.Conn == h.conn:
		return h.conn.Conn
	case h.below != nil && h.below.Conn == h.conn:
		return h.below.Secure(h.head.Conn.(*tls.Conn), h.conn.Conn)
	case h.below != nil: // a proxy has TLS of its own
		return h.below.Secure(h.head.Conn.(*tls.Conn), h.below.Conn)
	}
	return h.head.Conn
}

const unlimited = -1

// A limitedConn is a connection from which at most left bytes can be read. Until the
// limit is lifted, only the goroutine that dials reads.
type limitedConn struct {
	net.Conn
	left int // unlimited after the handshake
}

func (c *limitedConn) Read(p []byte) (int, error) {
	if c.left == unlimited {
		return c.Conn.Read(p)
	}
	if c.left == 0 {
		return 0, errEndless
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}
