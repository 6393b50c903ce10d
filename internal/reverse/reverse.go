// Package reverse is what packages that send HTTP requests to clients share.
package reverse

import (
	"context"
	"net"
	"net/http"
	"time"
)

// Defaults of an [http.Transport] that reaches clients. It does not limit how long an answer takes:
// the context of a request does.
const (
	DialTimeout         = 30 * time.Second // for a client that accepts no more connections
	tlsHandshakeTimeout = 10 * time.Second
	idleConnTimeout     = 90 * time.Second
	maxIdleConnsPerHost = 16
)

// NewTransport returns a transport that connects with dial. configure may set any field,
// except those about dialling.
func NewTransport(dial func(ctx context.Context, network, addr string) (net.Conn, error), configure ...func(*http.Transport)) *http.Transport {
	t := &http.Transport{
		TLSHandshakeTimeout:   tlsHandshakeTimeout,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       idleConnTimeout,
		MaxIdleConnsPerHost:   maxIdleConnsPerHost,

		MaxResponseHeaderBytes: maxHeaderBytes,
		ForceAttemptHTTP2:      true,
	}
	for _, c := range configure {
		c(t)
	}
	Own(t, dial)
	return t
}

// Own makes t use connections of dial alone.
func Own(t *http.Transport, dial func(ctx context.Context, network, addr string) (net.Conn, error)) {
	t.Proxy, t.DialContext, t.DialTLSContext = nil, dial, nil
}

// Rewound returns r with an unread body, to send it again. It reports false if there is no
// such body.
func Rewound(r *http.Request) (*http.Request, bool) {
	if r.Body == nil || r.Body == http.NoBody {
		return r, true
	}
	if r.GetBody == nil {
		return nil, false
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, false
	}
	again := *r
	again.Body = body
	return &again, true
}
