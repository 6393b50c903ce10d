package transport

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// A Client connects to a server and listens for what the server dials. It may be
// used by several goroutines, and any number of times: a program that connects
// again should do so with the same Client, which remembers carriers that do not
// work. It must not be copied after its first use.
type Client struct {
	// URL of the server's endpoint, such as "wss://example.com/devices".
	// "ws" and "http" mean the same, as do "wss" and "https". A user and
	// password in it are sent as HTTP basic authentication.
	URL string

	// Header is sent with the request. The server finds it in
	// [Dialer.Header], and refuses more than 100 fields or 16 KiB.
	Header http.Header

	// HandshakeTimeout bounds what it takes to make a session. 0 or less means
	// what [WithHandshakeTimeout] says, or else 10 s.
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

// DialAndListen connects to the server at url, sends header with the request,
// and returns a listener for the connections that the server dials.
//
// It remembers nothing of carriers that do not work. A program that connects
// again, with more than one carrier, should do so with a [Client].
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
// The first carrier has a head start ([WithHeadStart]), then the second is tried
// beside it, and so on; when one fails, the next has its turn at once. The first
// session wins, and the other attempts are given up. [Info.Fallback] tells why
// it is not one by a carrier that comes before.
//
// A carrier that failed, or had no session when another that comes after it
// did, although it had its head start, is remembered as broken for the URL's
// host. So is one whose session fell silent within two minutes (and the
// keepalive, if [WithLimits] sets one). It is passed over for a minute: until
// then it is only tried when all others have failed, or half of the handshake
// timeout has passed. The next call tries it in its usual place again. Each
// time that it fails in a row doubles the minute, up to an hour; a session that
// lasts makes the client forget. An answer by the server is not a failure in
// this sense, such as a refusal or a certificate that is not trusted.
//
// If no carrier has a session, the error tells what each of them met with. It
// matches, for instance, [*carrier.RejectedError] if a server refused,
// [carrier.ErrScheme] for a URL that no carrier knows, or [ErrNoCommonMux].
//
// With [WithReconnect] the first session is awaited in the same way as the later
// ones: it is tried again until there is one, ctx ends, or it makes no sense to try
// ([Retryable]). So a wrong path in the URL, which is answered with status 404, is tried
// again too: [WithLogger] and [Trace.DialFailed] tell of it, and so does the error when
// ctx ends. Without WithReconnect the first answer is the error.
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
