package ws

import (
	"net/http"
	"net/url"
	"time"

	"github.com/backdial/backdial/internal/origin"
)

// An Option changes a setting of a [Carrier].
type Option func(*Carrier)

// WithProxy sets the function that chooses the proxy of a Dial. It gets a request with an
// http or https URL. It returns the proxy's URL, whose scheme is http or https (the
// CONNECT method) or socks5, or nil for no proxy. The proxy resolves the server's host
// name. The default is [http.ProxyFromEnvironment]; a nil function means no proxy.
func WithProxy(proxy func(*http.Request) (*url.URL, error)) Option {
	return func(c *Carrier) { c.proxy = proxy }
}

// WithCheckOrigin sets the function that decides whether Upgrade accepts a request, by
// its Origin header, which browsers send. If it returns false, Upgrade answers with
// status 403. The default, also for nil, accepts requests without an Origin, and those
// whose Origin has the host that the request is for.
func WithCheckOrigin(check func(*http.Request) bool) Option {
	if check == nil {
		check = origin.Same
	}
	return func(c *Carrier) { c.checkOrigin = check }
}

// WithAllowedOrigins makes Upgrade accept requests from pages of these origins too, such
// as "https://app.example:8443". The default rule of [WithCheckOrigin] still accepts the
// others that it accepts. Origins must match exactly: there are no wildcards.
func WithAllowedOrigins(origins ...string) Option {
	return WithCheckOrigin(origin.Among(origins))
}

// WithHandshakeTimeout bounds how long Dial takes, in addition to its context, and how
// long Upgrade waits for the client to take the answer. 0 means the default: 10 s, or no
// bound for a Dial whose context has a deadline. Negative means no bound.
func WithHandshakeTimeout(d time.Duration) Option {
	return func(c *Carrier) { c.handshakeTimeout = d }
}

// WithGorillaFraming makes github.com/gorilla/websocket do the handshake, and read and write
// the frames of connections. By default this package does. A peer sees no difference, except
// that clients send messages of more than 64 KiB in several frames, and that a few violations
// pass. gorilla/websocket copies more and uses more memory. A blocked Write delays the answers
// to pings, and reading for a second. NextMessage waits for the whole message, and frames
// without data are not counted. The option is there in case the default has a bug.
func WithGorillaFraming() Option {
	return func(c *Carrier) { c.gorilla = true }
}
