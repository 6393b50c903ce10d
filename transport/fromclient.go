package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// acceptFrom has the connections that the client of d opens handled, if anybody
// wants them.
func (s *Server) acceptFrom(d *Dialer) {
	if s.config.acceptFromClient == nil || !s.handling() {
		return
	}
	go func() { // ends with the session
		defer s.handlers.Done()
		for {
			st, err := d.session.mux.Accept(context.Background())
			if err != nil {
				return
			}
			conn := d.session.conn(st)
			s.handlers.Add(1)
			go s.handle(d, func() { s.config.acceptFromClient(d, conn) })
		}
	}()
}

// handling makes Shutdown wait for handlers.Done, unless it may not wait any more.
func (s *Server) handling() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.handlers.Add(1)
	}
	return !s.closing
}

// errNotNegotiated is why a client cannot dial such a server.
var errNotNegotiated = errors.New("the server does not negotiate, so it accepts no connections of its clients")

// Dial is [Listener.DialContext] without a bound.
func (l *Listener) Dial() (net.Conn, error) {
	return l.DialContext(context.Background(), "", "")
}

// DialContext opens a connection to the server, in the direction that is not the
// usual one: the server has to have [WithAcceptFromClient], or the use of the
// connection fails with an error that matches mux.ErrReset. It costs no round
// trip. What it returns is a [net.Conn] that also has CloseWrite() error. Network
// and addr are not used.
//
// With [WithReconnect] it waits for a session while there is none. ctx bounds
// that, and not the connection.
func (l *Listener) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := l.life.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("transport: dial: %w", err)
	}
	return conn, nil
}
