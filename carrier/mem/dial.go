package mem

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/redact"
)

// Dial connects to the endpoint that is the host of r.URL, whose scheme is mem. If there
// is none, the error matches [syscall.ECONNREFUSED]. The handler gets a request like a
// server's. Its context ends when the handler returns, Dial gives up, or the handler has
// refused the client with a KiB of text. If the handler panics before it has upgraded
// the request, the client gets status 500.
func (c *Carrier) Dial(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
	conn, err := c.dial(ctx, r)
	if err != nil {
		return nil, redact.Dial("mem", r.URL, r.Header, err)
	}
	return conn, nil
}

func (c *Carrier) dial(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
	if r.URL.Scheme != "mem" {
		return nil, fmt.Errorf("%w %s, want mem", carrier.ErrScheme, redact.Quote(r.URL.Scheme))
	}
	if ctx.Err() != nil {
		return nil, ctxerr.Of(ctx)
	}
	e, err := c.lookup(r.URL.Host)
	if err != nil {
		return nil, err
	}
	x := newExchange(slices.Clone(r.Protocols), e.Addr(), c.clientAddr())
	if err := x.prepare(r); err != nil {
		return nil, err
	}
	if err := e.submit(ctx, x); err != nil {
		x.giveUp(err)
		return nil, err
	}
	select {
	case <-x.decided:
	case <-e.closed:
		x.giveUp(errEndpointClosed)
	case <-ctx.Done():
		x.giveUp(ctxerr.Of(ctx))
	}
	if x.err != nil {
		return nil, x.err
	}
	if r.Answered != nil {
		r.Answered(x.answer)
	}
	return x.conn, nil
}

var errEndpointClosed = errors.New("endpoint closed before its handler had answered")

// clientAddr returns an address that no other client has.
func (c *Carrier) clientAddr() addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clients++
	return addr(fmt.Sprintf("client:%d", c.clients))
}

// exchangeKey is the context key of a request's *exchange.
type exchangeKey struct{}

// prepare makes the request for the handler. It shares nothing with r, as on a network.
func (x *exchange) prepare(r *carrier.Request) error {
	u, err := url.ParseRequestURI(r.URL.RequestURI())
	if err != nil {
		return err
	}
	header := make(http.Header)
	for key, values := range r.Header {
		for _, v := range values {
			header.Add(key, v) // in canonical form, as on a server
		}
	}
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), exchangeKey{}, x))
	x.cancel = cancel
	x.request = (&http.Request{
		Method:     http.MethodGet,
		URL:        u,
		RequestURI: r.URL.RequestURI(),
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     header,
		Body:       http.NoBody,
		Host:       r.URL.Host,
		RemoteAddr: x.client.String(),
	}).WithContext(ctx)
	if user := r.URL.User; user != nil && header.Get("Authorization") == "" {
		password, _ := user.Password()
		x.request.SetBasicAuth(user.Username(), password)
	}
	return nil
}
