package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// checkInterval is how often the proxy asks a replica for its health, and checkTimeout
	// how long the answer may take.
	checkInterval = 100 * time.Millisecond
	checkTimeout  = 500 * time.Millisecond
)

// A proxy is a load balancer, as nginx or HAProxy would be: it sends devices and users to
// healthy replicas in turn. A request without a body that a replica does not answer,
// because it is gone or hangs, goes to the next one.
type proxy struct {
	httputil.ReverseProxy
	transport *http.Transport
	backends  []*backend
	turn      atomic.Uint64
}

var (
	errDown      = errors.New("the replica is not healthy any more")
	errNoReplica = errors.New("no replica is healthy")
)

func newProxy(replicas ...*url.URL) *proxy {
	p := &proxy{transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	for _, u := range replicas {
		p.backends = append(p.backends, &backend{url: u})
	}
	p.ReverseProxy = httputil.ReverseProxy{
		Transport:     p,
		FlushInterval: -1,
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetXForwarded() },
		ErrorLog:      log.New(io.Discard, "", 0),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, fmt.Sprint("502 Bad Gateway: ", err), http.StatusBadGateway)
		},
	}
	return p
}

// check asks replicas for their health, until ctx ends.
func (p *proxy) check(ctx context.Context) {
	var running sync.WaitGroup
	for _, b := range p.backends {
		running.Go(func() {
			for ctx.Err() == nil {
				b.set(p.isHealthy(ctx, b))
				wait(ctx, checkInterval)
			}
		})
	}
	running.Wait()
	p.transport.CloseIdleConnections()
}

func (p *proxy) isHealthy(ctx context.Context, b *backend) bool {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url.JoinPath("healthz").String(), nil)
	if err != nil {
		return false
	}
	answer, err := p.transport.RoundTrip(r)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, answer.Body) // so that the connection can be reused
	return answer.StatusCode == http.StatusOK
}

// healthy returns the number of healthy replicas.
func (p *proxy) healthy() (n int) {
	for _, b := range p.backends {
		if b.up() != nil {
			n++
		}
	}
	return n
}

// RoundTrip implements [http.RoundTripper]. If one replica fails, it tries another.
func (p *proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	first := p.turn.Add(1)
	failed := errNoReplica
	for i := range p.backends {
		b := p.backends[(first+uint64(i))%uint64(len(p.backends))]
		up := b.up()
		if up == nil {
			continue
		}
		answer, err := p.try(r, b.url, up)
		if err == nil || r.Context().Err() != nil || r.Body != nil && r.Body != http.NoBody {
			return answer, err
		}
		failed = err
	}
	return nil, failed
}

// try sends a request to a replica, which must begin the answer while it is healthy.
func (p *proxy) try(r *http.Request, to *url.URL, up context.Context) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context()) // ends with r's, so that the body can be read
	stop := context.AfterFunc(up, func() { cancel(errDown) })
	defer stop()
	r = r.Clone(ctx)
	r.URL.Scheme, r.URL.Host = to.Scheme, to.Host
	answer, err := p.transport.RoundTrip(r)
	if err != nil {
		cancel(err)
	}
	return answer, err
}

// A backend is a replica as the proxy sees it.
type backend struct {
	url *url.URL

	mu   sync.Mutex // guards below
	ctx  context.Context
	down context.CancelFunc // nil while the replica is not healthy
}

// up returns a context that ends when the replica is no longer healthy, or nil if it is
// not.
func (b *backend) up() context.Context {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ctx
}

func (b *backend) set(healthy bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case healthy && b.ctx == nil:
		b.ctx, b.down = context.WithCancel(context.Background())
	case !healthy && b.ctx != nil:
		b.down()
		b.ctx, b.down = nil, nil
	}
}
