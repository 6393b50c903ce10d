package webtransport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/backdial/backdial/carrier"
)

const (
	// maxHeaderBytes limits the header of a request. An unauthorised client can send one
	// on each of its streams.
	maxHeaderBytes = 16 << 10

	// unlimited is for limits that QUIC has and WebTransport repeats. Some clients require
	// one.
	unlimited = 1 << 60
)

var (
	_ carrier.Endpoint         = (*endpoint)(nil)
	_ carrier.Advertised       = (*endpoint)(nil)
	_ carrier.HandshakeLimiter = (*endpoint)(nil)
)

// Listen announces a UDP address, such as ":8443", and returns an endpoint that passes
// the requests of HTTP/3 clients to h. config must have a certificate, because QUIC
// always uses TLS. Listen does not change config.
//
// The endpoint is a [carrier.Advertised] and a [carrier.HandshakeLimiter]. Its Close does
// not affect connections; the UDP port is free when the last one has ended. After 100 ms,
// Close cuts the QUIC connections that carry no session, with their requests.
func (c *Carrier) Listen(addr string, config *tls.Config, h http.Handler) (carrier.Endpoint, error) {
	e, err := c.listen(addr, config, h)
	if err != nil {
		return nil, fmt.Errorf("webtransport: listen %s: %w", addr, err)
	}
	return e, nil
}

func (c *Carrier) listen(addr string, config *tls.Config, h http.Handler) (carrier.Endpoint, error) {
	if err := checkTLS(config); err != nil {
		return nil, err
	}
	socket, err := net.ListenPacket("udp", addr)
	if err != nil {
		return nil, err
	}
	return c.serve(&http3.Server{Handler: h, TLSConfig: config}, socket)
}

func checkTLS(config *tls.Config) error {
	if config == nil {
		return errors.New("no TLS configuration: QUIC needs one, with a certificate")
	}
	if len(config.Certificates) == 0 && config.GetCertificate == nil && config.GetConfigForClient == nil {
		return errors.New("no certificate in the TLS configuration")
	}
	return nil
}

// ListenHTTP3 is Listen for a program with its own HTTP/3 server or UDP socket. The
// server's Handler gets every request, whether Offer knows it or not. The endpoint closes
// conn when its last connection has ended.
//
// ListenHTTP3 neither changes nor starts the server: the endpoint uses a copy of its
// fields. Close the endpoint instead of the server. The copy gets the settings that
// WebTransport needs. Its QUICConfig gets the values of [Carrier]'s options where it has
// zero values, and Allow0RTT is false. IdleTimeout and MaxHeaderBytes are 10 s and 16 KiB
// if they are zero. ConnContext is called as usual.
func (c *Carrier) ListenHTTP3(server *http3.Server, conn net.PacketConn) (carrier.Endpoint, error) {
	err := checkTLS(server.TLSConfig)
	if err == nil {
		var e carrier.Endpoint
		if e, err = c.serve(server, conn); err == nil {
			return e, nil
		}
	}
	return nil, fmt.Errorf("webtransport: listen %v: %w", conn.LocalAddr(), err)
}

// serve returns the endpoint for a server that has a certificate. It owns socket.
func (c *Carrier) serve(server *http3.Server, socket net.PacketConn) (carrier.Endpoint, error) {
	e := newEndpoint(socket, server.IdleTimeout)
	h3 := copyServer(server)
	fill(&h3.MaxHeaderBytes, maxHeaderBytes)
	fill[http.Handler](&h3.Handler, http.DefaultServeMux)
	h3.Handler = reception{h3.Handler, c}
	connContext := h3.ConnContext
	h3.ConnContext = func(ctx context.Context, qconn *quic.Conn) context.Context {
		if connContext != nil {
			ctx = connContext(ctx, qconn)
		}
		return context.WithValue(ctx, arrivalKey{}, arrivalOf(qconn.Context()))
	}
	e.server = &webtransport.Server{
		H3: h3,
		Config: &webtransport.Config{
			MaxIncomingStreams:    unlimited,
			MaxIncomingUniStreams: unlimited,
			MaxIncomingData:       unlimited,
		},
		CheckOrigin: func(*http.Request) bool { return true }, // Upgrade checks it
	}
	q := c.quicConfig(h3.QUICConfig, c.serverStreams)
	q.Allow0RTT = false // anybody could replay such a request
	e.windows = windowsOf(q)
	q.GetConfigForClient = e.configOf(q)
	// Early sends the server's settings before the client has finished the handshake,
	// which saves a round trip.
	var err error
	e.listener, err = e.transport.ListenEarly(http3.ConfigureTLSConfig(h3.TLSConfig), q)
	if err != nil {
		e.release()
		return nil, err
	}
	return e, nil
}

// copyServer returns a server with the same fields.
func copyServer(s *http3.Server) *http3.Server {
	return &http3.Server{
		Addr:               s.Addr,
		Port:               s.Port,
		TLSConfig:          s.TLSConfig,
		QUICConfig:         s.QUICConfig,
		Handler:            s.Handler,
		EnableDatagrams:    s.EnableDatagrams,
		MaxHeaderBytes:     s.MaxHeaderBytes,
		AdditionalSettings: maps.Clone(s.AdditionalSettings),
		IdleTimeout:        s.IdleTimeout,
		ConnContext:        s.ConnContext,
		Logger:             s.Logger,
	}
}
