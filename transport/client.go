package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/redact"
)

// A Client connects to a server and listens for what the server dials.
type Client struct {
	// URL of the server's endpoint, such as "wss://example.com/devices".
	// "ws" and "http" mean the same, as do "wss" and "https". A user and
	// password in it are sent as HTTP basic authentication.
	URL string

	// Header is sent with the request. The server finds it in
	// [Dialer.Header].
	Header http.Header

	// HandshakeTimeout bounds what it takes to make a session. 0 or less means
	// what [WithHandshakeTimeout] says, or else 10 s.
	HandshakeTimeout time.Duration

	config config
}

// NewClient returns a client with options.
func NewClient(url string, header http.Header, opts ...ClientOption) *Client {
	c := &Client{URL: url, Header: header}
	for _, o := range opts {
		o.applyClient(&c.config)
	}
	return c
}

// DialAndListen connects to the server at url, sends header with the request,
// and returns a listener for the connections that the server dials.
func DialAndListen(url string, header http.Header, opts ...ClientOption) (net.Listener, error) {
	return NewClient(url, header, opts...).DialAndListen()
}

// DialAndListenContext is [DialAndListen] with a context, which bounds the
// call and not the listener.
func DialAndListenContext(ctx context.Context, url string, header http.Header, opts ...ClientOption) (*Listener, error) {
	return NewClient(url, header, opts...).DialAndListenContext(ctx)
}

// DialAndListen connects to the server and returns a listener for the
// connections that the server dials. It is a [*Listener].
func (c *Client) DialAndListen() (net.Listener, error) {
	l, err := c.DialAndListenContext(context.Background())
	if err != nil {
		return nil, err // and not a nil *Listener in an interface
	}
	return l, nil
}

// DialAndListenContext is DialAndListen with a context, which bounds the call
// and not the listener.
//
// The carriers are tried in order, each for its share of the time, until one of
// them connects. If none does,
// the error tells what each of them met with. It matches, for instance,
// [*carrier.RejectedError] if a server refused, [carrier.ErrScheme] for a URL
// that no carrier knows, or [ErrNoCommonMux].
func (c *Client) DialAndListenContext(ctx context.Context) (*Listener, error) {
	config := c.config.withDefaults()
	u, err := url.Parse(c.URL)
	if err != nil {
		if strings.Contains(c.URL, "@") {
			return nil, errors.New("transport: the URL is invalid, and not shown because it may hold a password; is that escaped?")
		}
		return nil, fmt.Errorf("transport: %w", err)
	}
	timeout := config.handshakeTimeout
	if c.HandshakeTimeout > 0 {
		timeout = c.HandshakeTimeout
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	var failed attempts
	for i, by := range config.carriers {
		l, err := config.dial(bounded, len(config.carriers)-i, by, &carrier.Request{
			URL:       u,
			Header:    c.Header,
			Protocols: config.offer(),
			TLS:       config.tls,
		})
		if err == nil {
			return l, nil
		}
		if bounded.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("no session within %v: %w", timeout, err)
		}
		config.logger.Warn("backdial: dial failed", "carrier", by.Name(), "err", err)
		if config.trace.DialFailed != nil {
			config.trace.DialFailed(by.Name(), err)
		}
		failed = append(failed, err)
	}
	return nil, fmt.Errorf("transport: %w", failed)
}

// dial connects by one carrier, in its share of the time, of which as many
// carriers as left are to have one.
func (c *config) dial(ctx context.Context, left int, by carrier.Carrier, r *carrier.Request) (*Listener, error) {
	deadline, _ := ctx.Deadline()
	ctx, cancel := context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
	defer cancel()
	conn, err := by.Dial(ctx, r)
	if err != nil {
		return nil, err
	}
	m, err := c.agreed(by, conn.Protocol())
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("%s: dial %s: %w", by.Name(), redact.URL(r.URL), err)
	}
	muxed, err := m.ListenSide(conn, c.session)
	if err != nil {
		return nil, fmt.Errorf("%s: start %s: %w", by.Name(), m.Name(), err)
	}
	l := &Listener{session: newSession(c, by, conn, m, muxed)}
	l.session.begin(func() {})
	return l, nil
}

// attempts are the errors of the carriers that were tried, on one line.
type attempts []error

func (a attempts) Error() string {
	texts := make([]string, len(a))
	for i, err := range a {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (a attempts) Unwrap() []error { return a }
