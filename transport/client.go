package transport

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// A Client connects to a server and listens for the connections that the server dials. It is
// safe for concurrent use, any number of times. A program that connects again should use the
// same Client, which remembers carriers that do not work. A Client must not be copied after
// its first use.
type Client struct {
	// URL is the address of the server's endpoint, such as "wss://example.com/devices". "ws"
	// and "http" mean the same, as do "wss" and "https". A user and password in it are sent as
	// HTTP basic authentication.
	URL string

	// Header is sent with the request. The server has it as [Dialer.Header], and refuses more
	// than 100 fields or 16 KiB.
	Header http.Header

	// HandshakeTimeout limits the time to make a session. 0 or less means the timeout of
	// [WithHandshakeTimeout], or else 10 s.
	HandshakeTimeout time.Duration

	config config
	paths  paths

	stripped stripped
}

// NewClient returns a client with options.
func NewClient(url string, header http.Header, opts ...ClientOption) *Client {
	c := &Client{URL: url, Header: header}
	for _, o := range opts {
		o.applyClient(&c.config)
	}
	return c
}

// DialAndListen connects to the server at url, sends header with the request, and returns a
// listener for the connections that the server dials.
//
// It does not remember carriers that do not work. A program that connects again, with more
// than one carrier, should use a [Client].
func DialAndListen(url string, header http.Header, opts ...ClientOption) (net.Listener, error) {
	return NewClient(url, header, opts...).DialAndListen()
}

// DialAndListenContext is [DialAndListen] with a context, which limits the call and not the
// listener.
func DialAndListenContext(ctx context.Context, url string, header http.Header, opts ...ClientOption) (*Listener, error) {
	return NewClient(url, header, opts...).DialAndListenContext(ctx)
}

// DialAndListen connects to the server and returns a listener for the connections that the
// server dials. It is a [*Listener].
func (c *Client) DialAndListen() (net.Listener, error) {
	l, err := c.DialAndListenContext(context.Background())
	if err != nil {
		return nil, err // not a nil *Listener in an interface
	}
	return l, nil
}

// DialAndListenContext is DialAndListen with a context, which limits the call and not the
// listener.
//
// The first carrier gets a head start ([WithHeadStart]). Then the client tries the second
// beside it, and so on; when one fails, it tries the next at once. The first session wins, and
// the client gives up the other attempts. [Info.Fallback] tells why an earlier carrier is not
// in use.
//
// The client remembers a carrier as broken, for the URL's host, if it failed, if it had its
// head start but a later carrier was faster, or if its session falls silent within two minutes
// (and the keepalive, if [WithLimits] sets one). A broken carrier is passed over for a minute:
// in that time the client tries it only when all others have failed, or half of the handshake
// timeout has passed. The next call after that tries it in its usual place. Each failure in a
// row doubles the minute, up to an hour; a session that lasts clears the memory. An answer
// from the server, such as a refusal or a certificate that is not trusted, does not count as a
// failure here.
//
// If no carrier makes a session, the error has the reason of each. It matches, for instance,
// [*carrier.RejectedError] if a server refused, [carrier.ErrScheme] for a URL that no carrier
// knows, or [ErrNoCommonMux].
//
// With [WithReconnect] the client treats the first session as it does later ones: it tries
// until there is one, ctx ends, or trying again makes no sense ([Retryable]). So it also tries
// a wrong path in the URL again, which the server answers with status 404; [WithLogger],
// [Trace.DialFailed] and the error when ctx ends show that. Without WithReconnect the first
// answer is the error.
//
// [*carrier.RejectedError]: https://pkg.go.dev/github.com/backdial/backdial/carrier#RejectedError
// [carrier.ErrScheme]: https://pkg.go.dev/github.com/backdial/backdial/carrier#ErrScheme
func (c *Client) DialAndListenContext(ctx context.Context) (*Listener, error) {
	if err := c.config.checkSessions(); err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	life := newLifecycle(c)
	if err := life.start(ctx); err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	return &Listener{life}, nil
}
