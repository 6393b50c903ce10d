package testnet

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Relay is a network between UDP clients and a server. It can fail on demand.
type Relay struct {
	server *net.UDPAddr
	socket *net.UDPConn // which the clients see
	frozen atomic.Bool
	count  atomic.Int64 // of datagrams that came through
	wg     sync.WaitGroup

	mu      sync.Mutex // guards below
	sockets map[netip.AddrPort]*net.UDPConn
	closed  bool
}

// NewRelay returns a relay to the server at addr, an IP address and port. It
// is closed when t is done.
func NewRelay(t testing.TB, addr string) *Relay {
	t.Helper()
	server, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: server.IP})
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{server: server, socket: socket, sockets: make(map[netip.AddrPort]*net.UDPConn)}
	r.wg.Go(r.run)
	t.Cleanup(r.close)
	return r
}

// Addr is where clients find the relay.
func (r *Relay) Addr() string { return r.socket.LocalAddr().String() }

// Freeze lets nothing more through, in either direction.
func (r *Relay) Freeze() { r.frozen.Store(true) }

// Thaw undoes Freeze.
func (r *Relay) Thaw() { r.frozen.Store(false) }

func (r *Relay) run() {
	buf := make([]byte, 1<<16)
	for {
		n, client, err := r.socket.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if up := r.upstream(client); up != nil && !r.frozen.Load() {
			r.count.Add(1)
			up.Write(buf[:n])
		}
	}
}

// upstream returns the socket that stands for client at the server.
func (r *Relay) upstream(client netip.AddrPort) *net.UDPConn {
	r.mu.Lock()
	defer r.mu.Unlock()
	up := r.sockets[client]
	if up == nil && !r.closed {
		var err error
		if up, err = net.DialUDP("udp", nil, r.server); err != nil {
			return nil
		}
		r.sockets[client] = up
		r.wg.Go(func() { r.answer(up, client) })
	}
	return up
}

// answer relays what the server says to client.
func (r *Relay) answer(up *net.UDPConn, client netip.AddrPort) {
	buf := make([]byte, 1<<16)
	for {
		n, err := up.Read(buf)
		if r.isClosed() {
			return
		}
		if err == nil && !r.frozen.Load() { // an error is the server's port being closed
			r.count.Add(1)
			r.socket.WriteToUDPAddrPort(buf[:n], client)
		}
	}
}

func (r *Relay) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// close lets farewells through: ends that do not get one wait for it.
func (r *Relay) close() {
	for before := int64(-1); !r.frozen.Load() && r.count.Load() != before; {
		before = r.count.Load()
		<-time.After(30 * time.Millisecond)
	}
	r.socket.Close()
	r.mu.Lock()
	r.closed = true
	for _, up := range r.sockets {
		up.Close()
	}
	r.mu.Unlock()
	r.wg.Wait()
}
