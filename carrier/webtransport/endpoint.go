package webtransport

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/backdial/backdial/carrier"
)

// grace is how long a closed endpoint keeps a QUIC connection whose session has ended, so
// that the client learns of it.
const grace = 100 * time.Millisecond

// endpoint is a UDP port. It exists beyond Close, until its last connection ends.
type endpoint struct {
	socket    net.PacketConn
	transport *quic.Transport
	listener  *quic.EarlyListener
	server    *webtransport.Server
	windows   carrier.Windows // of its connections
	retries   *retries        // nil if the socket does not count them

	mu               sync.Mutex // guards below
	closed           bool
	opening          int // arrivals not accepted yet
	arrivals         map[*arrival]struct{}
	waiting          list.List // of *arrival, longest wait first
	maxWaiting       int
	handshakeTimeout time.Duration
	idleTimeout      time.Duration // 0: the handshake timeout; negative: none
}

// newEndpoint returns an endpoint that does not listen yet. It owns socket.
func newEndpoint(socket net.PacketConn, idleTimeout time.Duration) *endpoint {
	e := &endpoint{
		socket:           socket,
		arrivals:         make(map[*arrival]struct{}),
		maxWaiting:       maxWaiting,
		handshakeTimeout: handshakeTimeout,
		idleTimeout:      idleTimeout,
	}
	conn := quiet(socket)
	if counting, ok := conn.(watchable); ok {
		e.retries = newRetries()
		counting.watch(e.retries)
	}
	e.transport = &quic.Transport{
		Conn:                conn,
		ConnContext:         e.arrive,
		VerifySourceAddress: e.crowded,
	}
	return e
}

func (e *endpoint) LimitHandshakes(most int, timeout time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.maxWaiting, e.handshakeTimeout = most, timeout
}

// idleTimeoutLocked is how long a connection that is not new may wait.
func (e *endpoint) idleTimeoutLocked() time.Duration {
	return cmp.Or(e.idleTimeout, e.handshakeTimeout)
}

// answerTimeout is how long deciding a request for a session, and sending the answer, may
// take.
func (e *endpoint) answerTimeout() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.handshakeTimeout + answerTimeout
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
		if e.accept(qconn) {
			go func() {
				defer hangUp(qconn)
				e.server.ServeQUICConn(qconn) // fails only if the connection does
			}()
		}
	}
}

func (e *endpoint) isClosed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}

// retireLocked closes the connection after grace, unless it carries a session then.
func (e *endpoint) retireLocked(a *arrival) {
	if a.sessions > 0 {
		return
	}
	time.AfterFunc(grace, func() {
		e.mu.Lock()
		idle := a.sessions == 0
		e.mu.Unlock()
		if idle {
			hangUp(a.quic)
		}
	})
}

func (e *endpoint) Addr() net.Addr { return e.socket.LocalAddr() }

// AltSvc advertises the port for a day, for instance `h3=":8443"; ma=86400`.
func (e *endpoint) AltSvc() string {
	_, port, err := net.SplitHostPort(e.Addr().String())
	if err != nil {
		return "clear" // not an IP address: nothing to advertise
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
	last := len(e.arrivals) == 0
	for a := range e.arrivals {
		e.retireLocked(a)
	}
	e.mu.Unlock()
	err := e.listener.Close()
	if last {
		return errors.Join(err, e.release())
	}
	return err
}

// release closes the port. All connections have ended.
func (e *endpoint) release() error {
	return errors.Join(e.transport.Close(), e.socket.Close())
}
