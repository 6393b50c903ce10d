package webtransport

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/internal/setting"
	"github.com/backdial/backdial/redact"
)

// maxBody is how much of an answer's body a [carrier.RejectedError] keeps.
const maxBody = 1 << 10

// Dial connects to a URL with the scheme https or wss, which mean the same. A user name
// and password in it become a Basic Authorization header, unless r.Header has an
// Authorization. Dial does not follow redirects, and uses no proxy. It verifies the
// certificate as crypto/tls does.
//
// The request's :authority is the URL's host, so r.Header may have no other Host. Header
// fields of HTTP/1.1 connections, such as Upgrade, are not sent (RFC 9114, section 4.2).
//
// Errors keep their cause, such as an x509 error or ctx's error. They never show the
// URL's user, password and query, or r.Header.
func (c *Carrier) Dial(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
	conn, err := c.dial(ctx, r)
	if err != nil {
		return nil, redact.Dial("webtransport", r.URL, r.Header, err)
	}
	return conn, nil
}

func (c *Carrier) dial(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
	target, err := target(r.URL)
	if err != nil {
		return nil, err
	}
	header, err := header(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.bound(ctx)
	defer cancel()
	config := c.quicConfig(nil, c.clientStreams)
	config.HandshakeIdleTimeout = c.silence()
	qconn, err := c.dialHost(ctx, target.Hostname(), cmp.Or(target.Port(), "443"), http3TLS(r.TLS, target.Hostname()), config)
	if ctx.Err() != nil {
		if err == nil {
			hangUp(qconn)
		}
		return nil, ctxerr.Of(ctx)
	}
	if err != nil {
		return nil, err
	}

	// ctx alone does not end the wait for the answer.
	stop := context.AfterFunc(ctx, func() { hangUp(qconn) })
	session, answer, err := request(ctx, qconn, target.String(), header, r.Protocols)
	switch inTime := stop(); {
	case !inTime:
		hangUp(qconn)
		return nil, ctxerr.Of(ctx)
	case err != nil:
		hangUp(qconn)
		return nil, err
	}
	if r.Answered != nil {
		r.Answered(answer)
	}
	return newClientConn(qconn, session, windowsOf(config)), nil
}

// bound returns ctx with the limit for a handshake.
func (c *Carrier) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return setting.Handshake(ctx, c.handshakeTimeout, defaultHandshakeTimeout)
}

// silence returns how long a server may be silent during the handshake. It ends earlier
// than the limit of the handshake, because its error says more about the reason.
func (c *Carrier) silence() time.Duration {
	if c.handshakeTimeout <= 0 {
		return maxSilence
	}
	return min(c.handshakeTimeout/2, maxSilence)
}

// target returns the URL to dial, without the parts that are not sent.
func target(u *url.URL) (*url.URL, error) {
	if u.Scheme != "https" && u.Scheme != "wss" {
		return nil, fmt.Errorf("%w %s, want https or wss", carrier.ErrScheme, redact.Quote(u.Scheme))
	}
	if u.Hostname() == "" {
		return nil, errors.New("URL has no host")
	}
	t := *u
	t.Scheme, t.User, t.Fragment, t.RawFragment = "https", nil, "", ""
	return &t, nil
}

// header returns what is sent beside the request's own header.
func header(r *carrier.Request) (http.Header, error) {
	h := make(http.Header)
	for key, values := range r.Header {
		for _, v := range values {
			h.Add(key, v)
		}
	}
	if host := h.Get("Host"); host != "" && !strings.EqualFold(host, r.URL.Host) {
		return nil, fmt.Errorf("header has Host %s, which must not differ from the URL's", redact.Quote(host))
	}
	if r.URL.User != nil && h.Get("Authorization") == "" {
		password, _ := r.URL.User.Password()
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(r.URL.User.Username()+":"+password)))
	}
	h.Del(availableProtocols) // r.Protocols replaces it
	return h, nil
}

// http3TLS returns a copy of config that offers only HTTP/3.
func http3TLS(config *tls.Config, host string) *tls.Config {
	c := config.Clone()
	if c == nil {
		c = new(tls.Config)
	}
	c.NextProtos = []string{http3.NextProtoH3}
	c.ServerName = cmp.Or(c.ServerName, host)
	return c
}

// request asks for a session, and returns the header of the answer too. Closing qconn
// interrupts it.
func request(ctx context.Context, qconn *quic.Conn, target string, h http.Header, protocols []string) (*webtransport.Session, http.Header, error) {
	// The Transport's own Dial would end the QUIC connection together with the session,
	// before the reason could be sent.
	transport := &webtransport.Transport{ApplicationProtocols: protocols}
	client, err := transport.NewClientConn(qconn)
	if err != nil {
		return nil, nil, handshakeError(err)
	}
	answer, session, err := client.Dial(ctx, target, h)
	if answer != nil && fieldsSize(answer.Header) > maxAnswer {
		if session != nil {
			session.CloseWithError(0, "")
		}
		return nil, nil, fmt.Errorf("server answered %d with a header of more than %d KiB", answer.StatusCode, maxAnswer>>10)
	}
	switch {
	case answer != nil && answer.StatusCode/100 != 2:
		defer answer.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(answer.Body, maxBody))
		return nil, nil, &carrier.RejectedError{StatusCode: answer.StatusCode, Header: answer.Header, Body: body}
	case err != nil:
		return nil, nil, handshakeError(err)
	case isPage(answer):
		// The session has taken its body for capsules.
		session.CloseWithError(0, "")
		rejected := &carrier.RejectedError{StatusCode: answer.StatusCode, Header: answer.Header}
		return nil, nil, fmt.Errorf("not a WebTransport endpoint: %w", rejected)
	}
	return session, answer.Header, nil
}

// maxAnswer bounds the header of an answer, which errors keep. quic-go reads up to 10 MB of
// it, and webtransport-go cannot change that.
const maxAnswer = 128 << 10

// fieldsSize is the size of a header as RFC 9114, section 4.2.2, counts it.
func fieldsSize(h http.Header) (size int) {
	for name, values := range h {
		for _, value := range values {
			size += len(name) + len(value) + 32
		}
	}
	return size
}

// isPage reports whether a successful answer comes from a handler that does not know
// WebTransport: an answer that opens a session has no content (RFC 9110, section 9.3.6).
func isPage(answer *http.Response) bool {
	h := answer.Header
	return h.Get(chosenProtocol) == "" && (h.Get("Content-Length") != "" || h.Get("Content-Type") != "")
}

// hangUp closes a QUIC connection without a reason.
func hangUp(qconn *quic.Conn) {
	qconn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
}

// dialUDP makes a QUIC connection with its own UDP socket.
func (c *Carrier) dialUDP(ctx context.Context, addr *net.UDPAddr, config *tls.Config, q *quic.Config) (*quic.Conn, error) {
	network := "udp6"
	if addr.IP.To4() != nil {
		network = "udp4"
	}
	socket, err := c.listenPacket(ctx, network, ":0")
	if err != nil {
		return nil, err
	}
	qconn, err := quic.Dial(ctx, quiet(socket), addr, config, q)
	if err != nil {
		socket.Close()
		return nil, err
	}
	context.AfterFunc(qconn.Context(), func() { socket.Close() })
	return qconn, nil
}
