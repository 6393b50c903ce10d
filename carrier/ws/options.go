package ws

import (
	"net/http"
	"net/url"
	"time"

	"github.com/backdial/backdial/internal/origin"
)

// An Option changes a setting of a [Carrier].
type Option func(*Carrier)

// WithProxy sets the function that chooses the proxy of a Dial. The request it
// is given has an http or https URL. It returns the proxy's URL, whose scheme
// is http or https (the CONNECT method) or socks5, or nil for none; the proxy
// resolves the server's host name. The default is
// [http.ProxyFromEnvironment]; a nil proxy means that no proxy is used.
func WithProxy(proxy func(*http.Request) (*url.URL, error)) Option {
	return func(c *Carrier) { c.proxy = proxy }
}

// WithCheckOrigin sets the function that decides whether Upgrade accepts a
// request, going by its Origin header, which browsers send. If it reports
// false the request is answered with status 403. The default, which nil means
// as well, accepts requests without an Origin, and those whose Origin has the
// host that the request is for.
func WithCheckOrigin(check func(*http.Request) bool) Option {
	if check == nil {
		check = origin.Same
	}
	return func(c *Carrier) { c.checkOrigin = check }
}

// WithHandshakeTimeout bounds how long Dial takes, in addition to its context,
// and how long Upgrade waits for the client to take the answer. 0 means the
// default, which is 10 s, but for a Dial whose context has a deadline of its
// own nothing more; negative means no bound.
func WithHandshakeTimeout(d time.Duration) Option {
	return func(c *Carrier) { c.handshakeTimeout = d }
}

// WithGorillaFraming has the frames of connections read and written by
// github.com/gorilla/websocket, as the handshake is, instead of by this
// package. A peer cannot tell, but for messages of more than 64 KiB, which
// clients send in several frames, and for a few mistakes that are let pass. It
// copies more, a connection holds more memory, a blocked Write holds up the
// answers to pings and for a second also reading, and NextMessage waits for the
// whole of a message. It is there in case the default turns out to be at fault.
func WithGorillaFraming() Option {
	return func(c *Carrier) { c.gorilla = true }
}
