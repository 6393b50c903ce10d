package faultnet

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
)

// A TCP is a network between TCP clients and a server.
type TCP struct {
	path
	target string
	ln     net.Listener

	connsMu sync.Mutex // guards below
	conns   map[*conn]struct{}
}

// ListenTCP returns a network on the loopback interface, to the server at target.
func ListenTCP(target string, seed uint64) (*TCP, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("faultnet: %w", err)
	}
	t := &TCP{target: target, ln: ln, conns: make(map[*conn]struct{})}
	t.init(seed)
	t.wg.Go(t.accept)
	return t, nil
}

// Addr is where clients find the network.
func (t *TCP) Addr() string { return t.ln.Addr().String() }

// Close resets all connections. It may be repeated.
func (t *TCP) Close() error {
	t.stop()
	t.ln.Close()
	t.wg.Wait()
	return nil
}

// A Cut is a way to end connections.
type Cut int

// What the ends of a connection see when it is cut.
const (
	Reset       Cut = iota // both get a RST
	Finish                 // both get a FIN
	ResetClient            // the client gets a RST, and the server never sees anything
	ResetServer            // the other way round
)

// Cut ends all current connections.
func (t *TCP) Cut(how Cut) {
	t.connsMu.Lock()
	defer t.connsMu.Unlock()
	for c := range t.conns {
		c.end(how)
	}
}

func (t *TCP) accept() {
	for {
		client, err := t.ln.Accept()
		if err != nil {
			return
		}
		t.wg.Go(func() { t.connect(client.(*net.TCPConn)) })
	}
}

// connect relays a connection until both of its ends have ended it.
func (t *TCP) connect(client *net.TCPConn) {
	defer context.AfterFunc(t.ctx, func() { reset(client) })()
	defer client.Close()
	if t.refuses() {
		reset(client)
		return
	}
	if w, _ := t.way(up); w.Swallow {
		io.Copy(io.Discard, client)
		return
	}
	var d net.Dialer
	server, err := d.DialContext(t.ctx, "tcp", t.target)
	if err != nil {
		reset(client)
		return
	}
	c := newConn(&t.path, client, server.(*net.TCPConn))
	t.connsMu.Lock()
	t.conns[c] = struct{}{}
	t.connsMu.Unlock()
	c.run()
	t.connsMu.Lock()
	delete(t.conns, c)
	t.connsMu.Unlock()
}

// reset closes a connection as if it had failed.
func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}
