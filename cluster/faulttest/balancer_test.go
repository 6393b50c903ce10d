//go:build unix

package faulttest

import (
	"net"
	"slices"
	"sync"
)

// A balancer is a proxy in front of replicas, which are its backends in turn.
type balancer struct {
	ln   net.Listener
	at   func(*replica) string
	open sync.WaitGroup

	mu       sync.Mutex // guards below
	backends []*replica
	conns    map[*net.TCPConn]struct{}
	closed   bool
}

// balancer starts one. It is closed when t is done.
func (s *site) balancer(at func(*replica) string) *balancer {
	s.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	b := &balancer{ln: ln, at: at, conns: make(map[*net.TCPConn]struct{})}
	b.open.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			b.open.Go(func() { b.serve(conn.(*net.TCPConn)) })
		}
	})
	s.t.Cleanup(b.close)
	return b
}

func (b *balancer) addr() string { return b.ln.Addr().String() }

func (b *balancer) close() {
	b.ln.Close()
	b.mu.Lock()
	b.closed = true
	for c := range b.conns {
		c.Close()
	}
	b.mu.Unlock()
	b.open.Wait()
}

func (b *balancer) add(r *replica) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = append(b.backends, r)
}

// remove gives a replica no more connections. The existing ones go on.
func (b *balancer) remove(r *replica) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = slices.DeleteFunc(b.backends, func(other *replica) bool { return other == r })
}

// backend connects to the one whose turn it is.
func (b *balancer) backend() (*net.TCPConn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.backends) == 0 {
		return nil, net.ErrClosed
	}
	b.backends = append(b.backends[1:], b.backends[0])
	conn, err := net.Dial("tcp", b.at(b.backends[0])) // with the lock, so that none comes after remove
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

func (b *balancer) serve(conn *net.TCPConn) {
	defer conn.Close()
	to, err := b.backend()
	if err != nil {
		tcp{conn}.Reset()
		return
	}
	defer to.Close()
	b.track(conn, to)
	defer b.forget(conn, to)
	var both sync.WaitGroup
	both.Go(func() { pass(tcp{to}, conn, conn) })
	both.Go(func() { pass(tcp{conn}, to, to) })
	both.Wait()
}

func (b *balancer) track(conns ...*net.TCPConn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range conns {
		b.conns[c] = struct{}{}
		if b.closed {
			c.Close()
		}
	}
}

func (b *balancer) forget(conns ...*net.TCPConn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range conns {
		delete(b.conns, c)
	}
}
