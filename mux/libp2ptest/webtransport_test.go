package libp2ptest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/mux"
)

// handshakeTimeout bounds a handshake beside a busy test.
const handshakeTimeout = 20 * time.Second

// maxStreams is how many streams each end may open at a time: as many as mux.Config
// allows.
const maxStreams = 1 << 14

// overWebTransport is a multiplexer of a carrier's streams with libp2p's interface. For
// the first end of a TCP connection that it gets, it makes a WebTransport connection, and
// keeps that connection's other end for the TCP connection's other end.
type overWebTransport struct {
	multiplexer
	carrier  *webtransport.Carrier
	request  carrier.Request
	upgraded chan carrier.Conn // the server's end of a connection

	mu   sync.Mutex              // guards below
	kept map[string]carrier.Conn // by the local address of the end that it is for
}

// newOverWebTransport returns a multiplexer whose server runs until t ends.
func newOverWebTransport(t *testing.T, muxer mux.Muxer) *overWebTransport {
	t.Helper()
	m := &overWebTransport{
		multiplexer: multiplexer{muxer},
		carrier:     webtransport.New(webtransport.WithMaxStreams(maxStreams, maxStreams)),
		upgraded:    make(chan carrier.Conn, 1),
		kept:        make(map[string]carrier.Conn),
	}
	address, tls, stop := carriertest.Target{Carrier: m.carrier, TLS: true}.Serve(t, http.HandlerFunc(m.upgrade))
	t.Cleanup(stop)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	m.request = carrier.Request{URL: u, Protocols: []string{muxer.Protocol()}, TLS: tls}
	t.Cleanup(m.closeKept)
	return m
}

func (m *overWebTransport) upgrade(w http.ResponseWriter, r *http.Request) {
	if conn, err := m.carrier.Upgrade(w, r, m.muxer.Protocol()); err == nil {
		m.upgraded <- conn
	}
}

// closeKept closes the ends that nobody has asked for.
func (m *overWebTransport) closeKept() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, conn := range m.kept {
		conn.Close()
	}
}

// NewConn implements [network.Multiplexer]. As everywhere in this library, the listen
// side is the client of the carrier.
func (m *overWebTransport) NewConn(c net.Conn, isServer bool, scope network.PeerScope) (network.MuxedConn, error) {
	streams, err := m.end(c, isServer)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return m.multiplexer.NewConn(tiedConn{streams.(carrier.StreamConn), c}, isServer, scope)
}

// end returns the end of the WebTransport connection for c: the client's, or the
// server's.
func (m *overWebTransport) end(c net.Conn, client bool) (carrier.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ours, theirs := c.LocalAddr().String(), c.RemoteAddr().String()
	if conn, ok := m.kept[ours]; ok {
		delete(m.kept, ours)
		return conn, nil
	}
	conn, peer, err := m.connect()
	if err != nil {
		return nil, err
	}
	if !client {
		conn, peer = peer, conn
	}
	m.kept[theirs] = peer
	return conn, nil
}

// connect makes a WebTransport connection. Calls do not overlap.
func (m *overWebTransport) connect() (client, server carrier.Conn, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	if client, err = m.carrier.Dial(ctx, &m.request); err != nil {
		return nil, nil, err
	}
	select {
	case server = <-m.upgraded:
		return client, server, nil
	case <-ctx.Done():
		return nil, nil, errors.Join(ctx.Err(), client.Close())
	}
}

// A tiedConn is closed together with another connection.
type tiedConn struct {
	carrier.StreamConn
	other net.Conn
}

func (c tiedConn) Close() error { return errors.Join(c.StreamConn.Close(), c.other.Close()) }
