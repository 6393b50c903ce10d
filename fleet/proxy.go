package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/redact"
)

// A ReverseProxy is an [http.Handler] that serves what the clients of a fleet serve, each
// under its ID: in the path, as in https://devices.example/123/status, or in the host, as in
// https://123.devices.example/status. It streams bodies both ways, and passes WebSockets and
// other upgrades through. It must not be copied.
//
// The proxy lets everybody in: put it behind something that authenticates its users. With IDs
// in the path all clients share one origin, so a page of one may read the pages of others and
// act in the name of the user who looks at it. Give clients that do not trust each other names
// of their own, with Domain. Even then one may set cookies for all of Domain, unless Domain is
// on the Public Suffix List, and one with the ID a.b may set cookies for b.
//
// A client sees all that the user sends: the Host, and what authenticates the user, such as
// Cookie or Authorization, unless Rewrite removes it. It also gets the X-Forwarded headers of
// [httputil.ProxyRequest.SetXForwarded], which replace those of the request; if a proxy in
// front sets them, Rewrite can copy them from In to Out. With IDs in the path it gets
// X-Forwarded-Prefix too, which is what the proxy removed from the path. If the client's
// answer redirects to a path, or sets a cookie for one, the proxy adds the prefix again,
// unless it is there already. A redirect to a path above the prefix, as browsers read it, leads
// below the prefix instead, and the proxy removes one that net/url cannot parse. It does the
// same in informational answers (1xx) and trailers, and with Service-Worker-Allowed. It removes
// fields that tell a web server in front of it to serve something else, such as
// X-Accel-Redirect, or to take the proxy for broken, such as
// X-Envoy-Immediate-Health-Check-Fail.
// [rhttp.NewTransport] says how long all of these may be. The proxy removes parameters of the
// query that net/url cannot parse.
//
// It answers what it cannot serve with a line of text:
//
//	404  there is no such ID, or no ID
//	502  the client's connection failed, or what it sent is not HTTP, or too long
//	503  the client is not connected, or about to leave; with Retry-After
//	504  the client has not answered in time
//
// If the client goes away in the middle of an answer, the proxy cuts the user's connection, so
// that the user cannot take a part for the whole.
//
// [rhttp.NewTransport]: https://pkg.go.dev/github.com/backdial/backdial/rhttp#NewTransport
type ReverseProxy struct {
	// Fleet has the clients.
	Fleet *Fleet

	// Transport, if not nil, reaches the clients instead of a transport of Fleet's. A
	// transport of cluster.Cluster also reaches the clients of other servers. Fleet and
	// Configure are not used then. For the proxy, an error that matches [*NotConnectedError]
	// means that the client is not there.
	Transport http.RoundTripper

	// Domain is the domain of which the clients' names are subdomains, such as
	// "devices.example". "" means that IDs are in the path. Hosts have no upper case, so
	// neither should such IDs.
	Domain string

	// Rewrite, if not nil, changes the request for the client, after all other changes.
	Rewrite func(*httputil.ProxyRequest)

	// Configure, if not nil, sets fields of the [http.Transport] that each session has.
	// ResponseHeaderTimeout is a minute by default. It also limits how long a client may take
	// nothing of a request that it has not answered.
	Configure func(*http.Transport)

	// Logger, if not nil, logs requests that could not be served, at level Warn. What clients
	// and users say is escaped where it is not printable.
	Logger *slog.Logger

	once          sync.Once
	transport     http.RoundTripper
	answerTimeout atomic.Int64 // of the latest session
}

const (
	responseHeaderTimeout = time.Minute
	retryAfter            = "5" // seconds
)

func (p *ReverseProxy) init() {
	p.once.Do(func() {
		if p.transport = p.Transport; p.transport != nil {
			p.answerTimeout.Store(int64(responseHeaderTimeout))
			return
		}
		own := p.Fleet.Transport(func(t *http.Transport) {
			t.ResponseHeaderTimeout = responseHeaderTimeout
			t.DisableCompression = true // the user decides on compression
			if p.Configure != nil {
				p.Configure(t)
			}
			p.answerTimeout.Store(int64(t.ResponseHeaderTimeout))
		})
		own.patience = responseHeaderTimeout
		p.transport = own
	})
}

// ServeHTTP implements [http.Handler].
func (p *ReverseProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.init()
	to, err := p.target(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if to.path == "" { // relative links need a slash
		to.redirect(w, r)
		return
	}
	user := r
	ctx, giveUp := context.WithCancelCause(r.Context())
	defer giveUp(nil)
	r = r.WithContext(ctx)
	answered := newUpload(r, func() time.Duration { return time.Duration(p.answerTimeout.Load()) }, giveUp)
	edit := func(h http.Header) { to.edit(h, user.Host) }
	// Otherwise HTTP/1 reads the whole request before the answer begins.
	http.NewResponseController(w).EnableFullDuplex()
	proxy := httputil.ReverseProxy{
		Transport:     editing{p.transport, edit},
		FlushInterval: -1,
		Rewrite:       func(pr *httputil.ProxyRequest) { p.rewrite(pr, to) },
		ModifyResponse: func(answer *http.Response) error {
			answered()
			if answer.StatusCode < 100 { // which net/http reads, and panics rather than write it
				return fmt.Errorf("fleet: the client answers with status %d", answer.StatusCode)
			}
			to.addPrefix(answer.Header, r.Host)
			if answer.StatusCode != http.StatusSwitchingProtocols { // its body is a connection
				answer.Body = &ending{answer.Body, func() { edit(answer.Trailer) }}
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			if user.Context().Err() == nil { // otherwise the user is gone
				p.fail(w, user, err)
			}
		},
		ErrorLog: redact.Logger(p.logger(), slog.LevelWarn),
	}
	proxy.ServeHTTP(w, r)
}

func (p *ReverseProxy) rewrite(pr *httputil.ProxyRequest, to target) {
	pr.SetXForwarded()
	pr.Out.URL.Scheme, pr.Out.URL.Host = "http", to.id
	pr.Out.URL.RawPath = to.path
	pr.Out.URL.Path, _ = url.PathUnescape(to.path) // part of a valid path
	pr.Out.Header.Del("X-Forwarded-Prefix")
	if to.prefix != "" {
		pr.Out.Header.Set("X-Forwarded-Prefix", to.prefix)
	}
	if p.Rewrite != nil {
		p.Rewrite(pr)
	}
}

// fail answers a request that cannot be served.
func (p *ReverseProxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, why := http.StatusBadGateway, "the connection to the client failed"
	var timeout net.Error
	if not, ok := errors.AsType[*NotConnectedError](err); ok {
		w.Header().Set("Retry-After", retryAfter)
		status, why = http.StatusServiceUnavailable, fmt.Sprintf("client %q is not connected", not.ID)
	} else if errors.Is(err, ErrInvalidID) {
		status, why = http.StatusNotFound, "there is no such client"
	} else if isGone(err) {
		w.Header().Set("Retry-After", retryAfter)
		status, why = http.StatusServiceUnavailable, "the client has just left"
	} else if errors.As(err, &timeout) && timeout.Timeout() {
		status, why = http.StatusGatewayTimeout, "the client has not answered in time"
	}
	p.logger().Warn("fleet: request not served", "status", status,
		"host", redact.Text(r.Host), "path", redact.Text(r.URL.Path), "err", redact.Error(err))
	http.Error(w, fmt.Sprintf("%d %s: %s", status, http.StatusText(status), why), status)
}

func (p *ReverseProxy) logger() *slog.Logger {
	if p.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return p.Logger
}
