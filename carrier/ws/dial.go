package ws

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/gorilla/websocket"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/internal/setting"
	"github.com/backdial/backdial/redact"
)

// Dial connects to a URL with the scheme ws or http, or over TLS with wss or https. A
// user name and password in it become a Basic Authorization header, unless r.Header has
// an Authorization. Dial does not follow redirects.
//
// Errors keep their cause, such as an x509 error or ctx's error. They never show the
// URL's user, password and query, or r.Header.
func (c *Carrier) Dial(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
	conn, err := c.dial(ctx, r)
	if err != nil {
		return nil, redact.Dial("ws", r.URL, r.Header, err)
	}
	return conn, nil
}

func (c *Carrier) dial(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
	target, err := target(r.URL)
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.bound(ctx)
	defer cancel()
	proxy, err := c.proxyFor(ctx, target)
	if err != nil {
		return nil, err
	}

	h := &handshake{proxy: proxy, tls: r.TLS, server: target.Hostname()}
	var ws *websocket.Conn // nil unless gorilla has made it
	var answer *http.Response
	if c.gorilla {
		ws, answer, err = c.dialGorilla(ctx, h, target, r)
	} else {
		answer, err = h.open(ctx, target, r)
	}
	inTime := h.end()
	if deadline, ok := ctx.Deadline(); err != nil && ok && !time.Now().Before(deadline) {
		<-ctx.Done() // the connection has the same deadline, and may notice first
	}
	switch {
	case errors.Is(err, websocket.ErrBadHandshake):
		return nil, rejected(answer)
	case ctx.Err() != nil && (err != nil || !inTime):
		return nil, ctxerr.Of(ctx)
	case err != nil && h.connected:
		return nil, fmt.Errorf("handshake: %w", redact.Error(err))
	case err != nil:
		return nil, err
	}
	if ext := answer.Header.Get("Sec-Websocket-Extensions"); ext != "" {
		h.conn.Close()
		return nil, fmt.Errorf("handshake: server chose extension %s, which was not offered", redact.Quote(ext))
	}
	if r.Answered != nil {
		r.Answered(answer.Header)
	}
	if ws != nil {
		return newGorillaConn(ws, h.conn), nil
	}
	protocol := answer.Header.Get("Sec-Websocket-Protocol")
	return prompted(newConn(h.carries(), h.conn.Conn, protocol, true, h.head.rest)), nil
}

// bound returns ctx with the limit for a handshake.
func (c *Carrier) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return setting.Handshake(ctx, c.handshakeTimeout, defaultHandshakeTimeout)
}

// target returns u in the form that the WebSocket library needs.
func target(u *url.URL) (*url.URL, error) {
	schemes := map[string]string{"ws": "ws", "http": "ws", "wss": "wss", "https": "wss"}
	scheme, ok := schemes[u.Scheme]
	if !ok {
		return nil, fmt.Errorf("%w %s, want ws, wss, http or https", carrier.ErrScheme, redact.Quote(u.Scheme))
	}
	if u.Hostname() == "" {
		return nil, errors.New("URL has no host")
	}
	t := *u
	t.Scheme, t.User, t.Fragment, t.RawFragment = scheme, nil, "", ""
	return &t, nil
}

// requestHeader returns what is sent beside the handshake's own header.
func requestHeader(r *carrier.Request) http.Header {
	if r.URL.User == nil || r.Header.Get("Authorization") != "" {
		return r.Header
	}
	h := r.Header.Clone()
	if h == nil {
		h = make(http.Header)
	}
	h.Set("Authorization", basicAuth(r.URL.User))
	return h
}

func basicAuth(user *url.Userinfo) string {
	password, _ := user.Password()
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password))
}

// http1 returns a copy of config that offers only HTTP/1.1: an HTTP/2 connection cannot
// be upgraded.
func http1(config *tls.Config) *tls.Config {
	c := config.Clone()
	if c == nil {
		c = new(tls.Config)
	}
	c.NextProtos = []string{"http/1.1"}
	return c
}

// rejected returns the error for an answer without a connection.
func rejected(answer *http.Response) error {
	// At most 1 KiB, which the WebSocket library has already read.
	body, _ := io.ReadAll(answer.Body)
	err := &carrier.RejectedError{
		StatusCode: answer.StatusCode,
		Header:     answer.Header,
		Body:       body,
	}
	if answer.StatusCode == http.StatusSwitchingProtocols {
		return fmt.Errorf("not a WebSocket handshake: %w", err)
	}
	return err
}
