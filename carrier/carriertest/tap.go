package carriertest

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
)

// A tap stands between clients and a TCP server, and reports when clients hang up.
type tap struct {
	ctx     context.Context // ends with the test
	ln      net.Listener
	server  string
	clients chan (<-chan struct{}) // one channel per client, closed when the client has hung up
	wg      sync.WaitGroup         // for all goroutines
}

// tapped routes the clients of s through a tap, until t ends. It does nothing for a
// server that is not on TCP: there the check for leaked goroutines has to suffice.
func tapped(t *testing.T, s *server) *tap {
	t.Helper()
	if s.network != "tcp" {
		return nil
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &tap{ctx: ctx, ln: ln, server: s.addr, clients: make(chan (<-chan struct{}), enough)}
	s.addr = ln.Addr().String()
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		cancel()
		ln.Close()
		p.wg.Wait()
	})
	return p
}

func (p *tap) accept() {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		hungUp := make(chan struct{})
		p.clients <- hungUp
		p.wg.Go(func() { p.relay(client, hungUp) })
	}
}

// relay passes on what each side sends. It closes hungUp when the client has ended the
// connection.
func (p *tap) relay(client net.Conn, hungUp chan<- struct{}) {
	defer context.AfterFunc(p.ctx, func() { client.Close() })()
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	p.wg.Go(func() {
		io.Copy(client, server)
		client.(*net.TCPConn).CloseWrite()
	})
	io.Copy(server, client)
	close(hungUp)
}

// wantHungUp fails t if a Dial that has returned has not closed its sockets.
func (p *tap) wantHungUp(t *testing.T) {
	t.Helper()
	if p == nil {
		return
	}
	for hungUp := range p.clients {
		receive(t, "closing of the socket of a Dial that has returned", hungUp)
		if len(p.clients) == 0 {
			return
		}
	}
}
