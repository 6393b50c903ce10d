package webtransport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/backdial/backdial/carrier"
)

const (
	// idleRequest is how long a client may stay that asks for nothing.
	idleRequest = 30 * time.Second

	maxHeaderBytes = 64 << 10

	// grace is how long a closed endpoint keeps a QUIC connection whose
	// session has ended, so that the client gets to know.
	grace = 100 * time.Millisecond

	// unlimited is for limits that QUIC has already, and that WebTransport has
	// once more. Some clients want to see one.
	unlimited = 1 << 60
)

var (
	_ carrier.Endpoint   = (*endpoint)(nil)
	_ carrier.Advertised = (*endpoint)(nil)
)

// Listen announces a UDP address, such as ":8443", and returns an endpoint that
// hands the requests of HTTP/3 clients to h. config has to have a certificate:
// there is no QUIC without TLS. It is not changed.
//
// The endpoint is a [carrier.Advertised]. Its Close leaves connections alone;
// it lets go of the UDP port when the last one has ended. Close cuts the QUIC
// connections that carry no session, and what requests they may carry, after
// 100 ms.
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

// ListenHTTP3 is Listen for a program that has an HTTP/3 server of its own, or
// a UDP socket. The server's Handler gets every request, those that Offer
// knows and others. conn is closed by the endpoint, when its last connection
// has ended.
//
// The server is not changed, nor started: the endpoint works with a copy that
// it makes of its fields. Close the endpoint instead of the server. In the
// copy the settings are added that WebTransport needs, the values of
// [Carrier]'s options take the place of QUICConfig's zero values, and
// IdleTimeout and MaxHeaderBytes are 30 s and 64 KiB if they are zero.
// ConnContext is called as ever.
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

// serve returns the endpoint of a server that has a certificate. It owns
// socket.
func (c *Carrier) serve(server *http3.Server, socket net.PacketConn) (carrier.Endpoint, error) {
	e := &endpoint{
		socket:    socket,
		transport: &quic.Transport{Conn: quiet(socket)},
		conns:     make(map[*quic.Conn]int),
	}
	h3 := copyServer(server)
	fill(&h3.IdleTimeout, idleRequest)
	fill(&h3.MaxHeaderBytes, maxHeaderBytes)
	connContext := h3.ConnContext
	h3.ConnContext = func(ctx context.Context, qconn *quic.Conn) context.Context {
		if connContext != nil {
			ctx = connContext(ctx, qconn)
		}
		return context.WithValue(ctx, arrivalKey{}, &arrival{e, qconn})
	}
	e.server = &webtransport.Server{
		H3: h3,
		Config: &webtransport.Config{
			MaxIncomingStreams:    unlimited,
			MaxIncomingUniStreams: unlimited,
			MaxIncomingData:       unlimited,
		},
		CheckOrigin: func(*http.Request) bool { return true }, // Upgrade does
	}
	q := c.quicConfig(h3.QUICConfig, c.serverStreams)
	e.windows = windowsOf(q)
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

// An arrival is where a request comes from. It is in the request's context.
type arrival struct {
	endpoint *endpoint
	quic     *quic.Conn
}

type arrivalKey struct{}

// endpoint is a UDP port. It outlives Close, until its last connection ends.
type endpoint struct {
	socket    net.PacketConn
	transport *quic.Transport
	listener  *quic.EarlyListener
	server    *webtransport.Server
	windows   carrier.Windows // of its connections

	mu     sync.Mutex // guards below
	closed bool
	conns  map[*quic.Conn]int // how many sessions each one carries
}

func (e *endpoint) Serve() error {
	for {
		qconn, err := e.listener.Accept(context.Background())
		if err != nil {
			if e.isClosed() {
				err = net.ErrClosed
			} else {
				err = lost(err)
			}
			return fmt.Errorf("webtransport: serve %v: %w", e.Addr(), err)
		}
		if e.add(qconn) {
			go func() {
				defer hangUp(qconn)
				e.server.ServeQUICConn(qconn) // fails if the connection does
			}()
		}
	}
}

func (e *endpoint) isClosed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}

// add takes qconn in, unless the endpoint has closed.
func (e *endpoint) add(qconn *quic.Conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		go hangUp(qconn)
		return false
	}
	e.conns[qconn] = 0
	context.AfterFunc(qconn.Context(), func() { e.remove(qconn) })
	return true
}

func (e *endpoint) remove(qconn *quic.Conn) {
	e.mu.Lock()
	delete(e.conns, qconn)
	last := e.closed && len(e.conns) == 0
	e.mu.Unlock()
	if last {
		e.release()
	}
}

// count adds n to the sessions of qconn.
func (e *endpoint) count(qconn *quic.Conn, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.conns[qconn]; !ok {
		return
	}
	e.conns[qconn] += n
	if e.closed {
		e.retire(qconn)
	}
}

// retire closes qconn in a while, if it carries no session then. The caller
// holds mu.
func (e *endpoint) retire(qconn *quic.Conn) {
	if e.conns[qconn] > 0 {
		return
	}
	time.AfterFunc(grace, func() {
		e.mu.Lock()
		idle := e.conns[qconn] == 0
		e.mu.Unlock()
		if idle {
			hangUp(qconn)
		}
	})
}

func (e *endpoint) Addr() net.Addr { return e.socket.LocalAddr() }

// AltSvc advertises the port for a day, such as `h3=":8443"; ma=86400`.
func (e *endpoint) AltSvc() string {
	_, port, err := net.SplitHostPort(e.Addr().String())
	if err != nil {
		return "clear" // not an IP address: there is nothing to advertise
	}
	return fmt.Sprintf(`%s=":%s"; ma=%d`, http3.NextProtoH3, port, int((24 * time.Hour).Seconds()))
}

func (e *endpoint) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	last := len(e.conns) == 0
	for qconn := range e.conns {
		e.retire(qconn)
	}
	e.mu.Unlock()
	err := e.listener.Close()
	if last {
		return errors.Join(err, e.release())
	}
	return err
}

// release lets go of the port. There are no connections any more.
func (e *endpoint) release() error {
	return errors.Join(e.transport.Close(), e.socket.Close())
}
