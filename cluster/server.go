package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/backdial/backdial/internal/belowtls"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/redact"
	"github.com/backdial/backdial/transport"
)

// maxPeerStreams is how many connections another replica may have open to the clients of this
// one: as many as to a single client, not as many as a client may open.
const maxPeerStreams = 16384

// newServer returns the server for sessions that others open.
func (c *Cluster) newServer() *transport.Server {
	config := ownerTLS(c.tls)
	opts := []transport.ServerOption{
		transport.WithLimits(mux.Config{MaxStreams: maxPeerStreams}),
		transport.WithKeepAlive(peerKeepAlive, peerKeepAlive),
		transport.WithMaxAge(-1),
		transport.WithTrace(transport.Trace{HandshakeFailed: c.peerRefused}),
	}
	for _, o := range c.transport {
		opts = append(opts, o)
	}
	opts = append(opts,
		transport.WithTLSConfig(config),
		transport.WithRequireNegotiation(),
		transport.WithAuthorize(func(r *http.Request) error {
			if err := checkPeer(r, config); err != nil {
				return fmt.Errorf("%w: %w", transport.ErrForbidden, err)
			}
			return nil
		}),
		transport.WithAcceptFromClient(c.answer),
	)
	return transport.NewServer(transport.EndpointHandlerFunc(c.peerConnected), opts...)
}

// peerConnected logs that a peer has connected: the log of package transport would call it a
// client.
func (c *Cluster) peerConnected(d *transport.Dialer) {
	log := c.logger.With("peer", redact.Text(peerOf(d).Subject.String()), "remote", d.Info().RemoteAddr, "session", d.Info().Session)
	log.Info("cluster: peer connected")
	context.AfterFunc(d.Context(), func() { withEnd(log, d.Err()).Info("cluster: peer disconnected") })
}

// withEnd returns l for a line about a session that has ended with err.
func withEnd(l *slog.Logger, err error) *slog.Logger {
	l = l.With("reason", string(transport.EndReasonOf(err)))
	if errors.Is(err, mux.ErrSessionEnded) { // otherwise this end has closed it
		l = l.With("err", err)
	}
	return l
}

// peerRefused logs that a peer was refused.
func (c *Cluster) peerRefused(r *http.Request, err error) {
	c.logger.Warn("cluster: peer refused", "remote", redact.Text(r.RemoteAddr), "err", err)
}

// peerOf returns the certificate of the other end of a session.
func peerOf(d *transport.Dialer) *x509.Certificate { return d.TLS.PeerCertificates[0] }

// ServeHTTP is where other replicas and services connect to this one: the path of the URL in
// [WithNode]. Mount it in an HTTP server that asks for certificates: it refuses peers without
// a certificate from the authority of [WithTLSConfig], whatever that server lets in. With
// [Cluster.ListenAndServe] you need no other server.
func (c *Cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c.server == nil {
		http.Error(w, "404 Not Found: this is not a replica that others can reach", http.StatusNotFound)
		return
	}
	c.server.ServeHTTP(w, r)
}

var errNoReplica = errors.New("cluster: this is not a replica that others can reach: it has no clients, or no registry")

// ListenAndServe lets other replicas and services connect at addr, by all carriers of
// [WithTransport], until Close or Shutdown. It always returns a non-nil error, which then
// matches [net.ErrClosed].
func (c *Cluster) ListenAndServe(addr string) error {
	if c.server == nil {
		return errNoReplica
	}
	c.server.Addr = addr
	return c.server.ListenAndServeTLS("", "")
}

// Serve is [Cluster.ListenAndServe] through ln, a TCP listener, which it closes. It uses TLS
// on ln. It does not serve carriers that listen by themselves.
func (c *Cluster) Serve(ln net.Listener) error {
	if c.server == nil {
		return errNoReplica
	}
	config := ownerTLS(c.tls)
	config.NextProtos = []string{"http/1.1"} // an upgrade needs it
	return c.server.Serve(tls.NewListener(belowtls.NewListener(ln), config))
}
