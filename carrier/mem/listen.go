package mem

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/ctxerr"
)

// Listen announces name, which is the host in URLs for Dial. If name has an endpoint
// already, the error matches [syscall.EADDRINUSE]. The TLS configuration is ignored.
func (c *Carrier) Listen(name string, _ *tls.Config, h http.Handler) (carrier.Endpoint, error) {
	if name == "" {
		return nil, errors.New("mem: listen: no name")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.endpoints[name] != nil {
		return nil, fmt.Errorf("mem: listen mem://%s: %w", name, syscall.EADDRINUSE)
	}
	e := &endpoint{
		network:  c,
		name:     name,
		handler:  h,
		incoming: make(chan *exchange),
		closed:   make(chan struct{}),
	}
	c.endpoints[name] = e
	return e, nil
}

// lookup returns the endpoint called name.
func (c *Carrier) lookup(name string) (*endpoint, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.endpoints[name]
	if e == nil {
		return nil, syscall.ECONNREFUSED
	}
	return e, nil
}

// endpoint is where a handler listens. As with net/http, Close ends the Dials that wait
// for an answer, but does not wait for handlers that Serve has started.
type endpoint struct {
	network  *Carrier
	name     string
	handler  http.Handler
	incoming chan *exchange
	closed   chan struct{}
	once     sync.Once
}

func (e *endpoint) Serve() error {
	for {
		select {
		case x := <-e.incoming:
			go x.serve(e.handler)
		case <-e.closed:
			return fmt.Errorf("mem: serve mem://%s: %w", e.name, net.ErrClosed)
		}
	}
}

// submit hands x to Serve.
func (e *endpoint) submit(ctx context.Context, x *exchange) error {
	select {
	case e.incoming <- x:
		return nil
	case <-e.closed:
		return syscall.ECONNREFUSED
	case <-ctx.Done():
		return ctxerr.Of(ctx)
	}
}

func (e *endpoint) Addr() net.Addr { return addr(e.name) }

func (e *endpoint) Close() error {
	e.once.Do(func() {
		e.network.mu.Lock()
		delete(e.network.endpoints, e.name)
		e.network.mu.Unlock()
		close(e.closed)
	})
	return nil
}
