package carriertest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// A relay is a network cable between a client and a server.
type relay struct {
	addr     string // to dial instead of the server's
	listener net.Listener
	wg       sync.WaitGroup // of everything that runs; cut waits

	mu    sync.Mutex // guards below
	conns []net.Conn
}

// newRelay returns a relay to addr. It is cut when t ends, if not before.
func newRelay(t *testing.T, addr string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: l.Addr().String(), listener: l}
	r.wg.Go(func() { r.accept(addr) })
	t.Cleanup(r.cut)
	return r
}

// accept relays one connection.
func (r *relay) accept(addr string) {
	client, err := r.listener.Accept()
	if err != nil {
		return
	}
	server, err := net.Dial("tcp", addr)
	if err != nil {
		client.Close()
		return
	}
	r.mu.Lock()
	r.conns = []net.Conn{client, server}
	r.mu.Unlock()
	r.wg.Go(func() { io.Copy(server, client) })
	r.wg.Go(func() { io.Copy(client, server) })
}

// cut ends the connection on both sides as TCP does it in order, with a FIN.
func (r *relay) cut() {
	r.listener.Close()
	r.mu.Lock()
	for _, c := range r.conns {
		c.Close()
	}
	r.mu.Unlock()
	r.wg.Wait()
}
