// Package reverse has what those share who send HTTP requests to clients.
package reverse

import (
	"context"
	"net"
	"net/http"
	"time"
)

// Defaults of an [http.Transport] that clients are reached by. It does not bound how long
// an answer takes: that is for the context of a request.
const (
	DialTimeout         = 30 * time.Second // for a client that accepts no more connections
	tlsHandshakeTimeout = 10 * time.Second
	idleConnTimeout     = 90 * time.Second
	maxIdleConnsPerHost = 16
)

// NewTransport returns a transport whose connections are those of dial. configure may set
// any field, but those about what is dialled.
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
	t.Proxy, t.DialContext, t.DialTLSContext = nil, dial, nil
	return t
}

// Rewound returns r with a body that has not been read, for r to be sent again, if there
// can be one.
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
