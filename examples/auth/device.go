package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/transport"
)

// A device authenticates itself by a token, and its server by that one's certificate.
type device struct {
	url        string // https://…
	id, secret string
	trust      *tls.Config // nil for certificates that everybody trusts
}

// listen connects, and comes back whenever the session is lost, each time with a new token.
// Only a server that has revoked the device ends the listener.
func (d *device) listen(ctx context.Context, opts ...transport.ClientOption) (*transport.Listener, error) {
	opts = append([]transport.ClientOption{
		transport.WithHeaderFunc(d.header),
		transport.WithTLSConfig(d.trust),
		transport.WithReconnect(transport.Backoff{}),
	}, opts...)
	return transport.DialAndListenContext(ctx, d.url+"/connect", nil, opts...)
}

// header makes the header of an attempt to connect.
func (d *device) header(ctx context.Context) (http.Header, error) {
	token, err := d.token(ctx)
	if err != nil {
		return nil, err // the attempt fails, and another follows
	}
	return http.Header{"Authorization": {"Bearer " + token}}, nil
}

// token gets a token for the device's secret, which never leaves for anywhere else.
func (d *device) token(ctx context.Context) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+"/token", nil)
	if err != nil {
		return "", err
	}
	r.SetBasicAuth(d.id, d.secret)
	conns := &http.Transport{TLSClientConfig: d.trust, Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeaderBytes}
	answer, err := conns.RoundTrip(r)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = &carrier.RejectedError{StatusCode: answer.StatusCode, Header: answer.Header, Body: body}
	}
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	return string(body), nil
}

// serve answers with what the device is, and what it has been sent.
func (d *device) serve(lis *transport.Listener) error {
	return http.Serve(lis, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ := httputil.DumpRequest(r, false)
		fmt.Fprintf(w, "This is the %s.\n%s", d.id, sent)
	}))
}
