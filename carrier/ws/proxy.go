package ws

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	netproxy "golang.org/x/net/proxy"

	"github.com/backdial/backdial/redact"
)

// proxyFor returns the proxy for target, or nil.
func (c *Carrier) proxyFor(ctx context.Context, target *url.URL) (*url.URL, error) {
	if c.proxy == nil {
		return nil, nil
	}
	u := *target
	u.Scheme = map[string]string{"ws": "http", "wss": "https"}[u.Scheme]
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	return c.proxy(r)
}

// throughProxy connects to addr through the proxy.
func (h *handshake) throughProxy(ctx context.Context, network, addr string) (net.Conn, error) {
	var conn net.Conn
	var err error
	switch h.proxy.Scheme {
	case "http", "https":
		conn, err = h.connectMethod(ctx, network, addr)
	case "socks5", "socks5h":
		conn, err = h.socks5(ctx, network, addr)
	default:
		err = fmt.Errorf("unsupported scheme %s, want http, https or socks5", redact.Quote(h.proxy.Scheme))
	}
	if err != nil {
		return nil, fmt.Errorf("proxy %s: %w", redact.URL(h.proxy), redact.Error(err))
	}
	return conn, nil
}

// connectMethod asks an HTTP proxy for a tunnel to addr.
func (h *handshake) connectMethod(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := h.dialProxy(ctx, network)
	if err != nil {
		return nil, err
	}
	if err := requestTunnel(conn, addr, h.proxy.User); err != nil {
		h.conn.Close()
		return nil, err
	}
	return conn, nil
}

// dialProxy connects to an HTTP proxy, over TLS if its scheme is https.
func (h *handshake) dialProxy(ctx context.Context, network string) (net.Conn, error) {
	conn, err := h.dialTCP(ctx, network, addrOf(h.proxy))
	if err != nil || h.proxy.Scheme != "https" {
		return conn, err
	}
	config := http1(h.tls)
	config.ServerName = h.proxy.Hostname()
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		h.conn.Close()
		return nil, err
	}
	return secured, nil
}

// requestTunnel makes conn, a connection to a proxy, lead to addr.
func requestTunnel(conn net.Conn, addr string, user *url.Userinfo) error {
	r := &http.Request{
		Method: http.MethodConnect,
		URL:    &url.URL{Opaque: addr},
		Host:   addr,
		Header: make(http.Header),
	}
	if user != nil {
		r.Header.Set("Proxy-Authorization", basicAuth(user))
	}
	if err := r.Write(conn); err != nil {
		return err
	}
	br := bufio.NewReader(conn)
	answer, err := http.ReadResponse(br, r)
	if err != nil {
		return err
	}
	// The body of an answer to CONNECT is the tunnel: do not read or close it.
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("answered %d %s to CONNECT", answer.StatusCode, http.StatusText(answer.StatusCode))
	}
	if br.Buffered() > 0 {
		return errors.New("sent data before the server could")
	}
	return nil
}

// socks5 asks a SOCKS5 proxy to connect to addr.
func (h *handshake) socks5(ctx context.Context, network, addr string) (net.Conn, error) {
	var auth *netproxy.Auth
	if user := h.proxy.User; user != nil {
		password, _ := user.Password()
		auth = &netproxy.Auth{User: user.Username(), Password: password}
	}
	d, err := netproxy.SOCKS5(network, addrOf(h.proxy), auth, dialFunc(h.dialTCP))
	if err != nil {
		return nil, err
	}
	return d.(netproxy.ContextDialer).DialContext(ctx, network, addr)
}

// addrOf returns the address of a server or a proxy, with its scheme's default port if it
// has none.
func addrOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"ws": "80", "wss": "443", "http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// dialFunc is a dialer for the proxy package.
type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

func (f dialFunc) Dial(network, addr string) (net.Conn, error) {
	return f(context.Background(), network, addr)
}

func (f dialFunc) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return f(ctx, network, addr)
}
