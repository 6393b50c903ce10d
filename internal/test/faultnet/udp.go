package faultnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// maxDatagram is more than QUIC sends. What is longer is cut.
	maxDatagram = 4 << 10

	// datagrams are how many are under way in a lane at most. More are lost.
	datagrams = 256

	// socketBuffer is what QUIC asks for too. The kernel may give less.
	socketBuffer = 7 << 20
)

// A UDP is a network between UDP clients and a server.
type UDP struct {
	path
	target *net.UDPAddr
	socket *net.UDPConn // which clients see

	flowsMu sync.Mutex // guards below
	flows   map[netip.AddrPort]*flow
}

// ListenUDP returns a network to the server at target, an IP address and a port.
func ListenUDP(target string, seed uint64) (*UDP, error) {
	server, err := net.ResolveUDPAddr("udp", target)
	if err != nil {
		return nil, fmt.Errorf("faultnet: %w", err)
	}
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: server.IP})
	if err != nil {
		return nil, fmt.Errorf("faultnet: %w", err)
	}
	u := &UDP{target: server, socket: socket, flows: make(map[netip.AddrPort]*flow)}
	u.init(seed)
	prepare(u.ctx, socket)
	u.wg.Go(u.run)
	return u, nil
}

// prepare has a socket hold much, and closes it when ctx ends.
func prepare(ctx context.Context, c *net.UDPConn) {
	c.SetReadBuffer(socketBuffer)
	c.SetWriteBuffer(socketBuffer)
	context.AfterFunc(ctx, func() { c.Close() })
}

// Addr is where clients find the network.
func (u *UDP) Addr() string { return u.socket.LocalAddr().String() }

// Close may be repeated.
func (u *UDP) Close() error {
	u.stop()
	u.wg.Wait()
	return nil
}

// Rebind gives each client another source address at the server, as a NAT does
// that has forgotten them. What the server sends to the former is lost.
func (u *UDP) Rebind() error {
	u.flowsMu.Lock()
	defer u.flowsMu.Unlock()
	for _, f := range u.flows {
		if err := f.bind(); err != nil {
			return fmt.Errorf("faultnet: %w", err)
		}
	}
	return nil
}

// Forget gives up the clients from which nothing has come for so long, as a NAT
// does. One that speaks again gets another source address at the server.
func (u *UDP) Forget(silent time.Duration) {
	u.flowsMu.Lock()
	defer u.flowsMu.Unlock()
	for client, f := range u.flows {
		if time.Since(f.heard) >= silent {
			delete(u.flows, client)
			f.end()
		}
	}
}

func (u *UDP) run() {
	buf := make([]byte, maxDatagram)
	for {
		n, client, err := u.socket.ReadFromUDPAddrPort(buf)
		if u.ctx.Err() != nil {
			return
		}
		if err != nil {
			continue // such as a client that is gone
		}
		if f := u.flow(client); f != nil {
			f.up.offer(buf[:n])
		}
	}
}

// flow returns that of a client from which something has come, or nil if there
// cannot be one.
func (u *UDP) flow(client netip.AddrPort) *flow {
	u.flowsMu.Lock()
	defer u.flowsMu.Unlock()
	f := u.flows[client]
	if f == nil {
		if f = u.newFlow(client); f == nil {
			return nil
		}
		u.flows[client] = f
	}
	f.heard = time.Now()
	return f
}

func (u *UDP) newFlow(client netip.AddrPort) *flow {
	f := &flow{network: u}
	f.ctx, f.end = context.WithCancel(u.ctx)
	f.up = newDatagrams(&u.path, up, f.toServer)
	f.down = newDatagrams(&u.path, down, func(b []byte) { u.socket.WriteToUDPAddrPort(b, client) })
	if f.bind() != nil {
		f.end()
		return nil
	}
	u.wg.Go(func() { f.up.deliver(f.ctx) })
	u.wg.Go(func() { f.down.deliver(f.ctx) })
	return f
}

// A flow is what a client and the server say to each other.
type flow struct {
	network  *UDP
	up, down *datagramLane

	ctx   context.Context // ends with the network, or when the client is forgotten
	end   context.CancelFunc
	heard time.Time // when something came from the client; guarded by flowsMu

	mu     sync.Mutex   // guards below
	socket *net.UDPConn // which stands for the client at the server
}

// bind gives the client a socket of its own at the server.
func (f *flow) bind() error {
	socket, err := net.DialUDP("udp", nil, f.network.target)
	if err != nil {
		return err
	}
	prepare(f.ctx, socket)
	f.network.wg.Go(func() { f.answer(socket) })
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.socket != nil {
		f.socket.Close()
	}
	f.socket = socket
	return nil
}

// answer takes what the server says, until the socket is closed.
func (f *flow) answer(socket *net.UDPConn) {
	buf := make([]byte, maxDatagram)
	for {
		n, err := socket.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil { // an error is the server's port being closed
			f.down.offer(buf[:n])
		}
	}
}

func (f *flow) toServer(b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.socket.Write(b)
}

// A datagramLane is one direction of a flow.
type datagramLane struct {
	lane
	queue chan datagram
	write func([]byte)
	late  []byte // which comes after the next one
}

type datagram struct {
	data []byte
	sent time.Time
}

func newDatagrams(p *path, d direction, write func([]byte)) *datagramLane {
	return &datagramLane{
		lane:  lane{path: p, dir: d},
		queue: make(chan datagram, datagrams),
		write: write,
	}
}

// offer sends a datagram on its way, if there is room.
func (l *datagramLane) offer(data []byte) {
	select {
	case l.queue <- datagram{bytes.Clone(data), time.Now()}:
	default:
	}
}

// deliver writes what arrives until ctx ends.
func (l *datagramLane) deliver(ctx context.Context) {
	for {
		select {
		case next := <-l.queue:
			w, ok := l.arrive(ctx, next.sent, len(next.data))
			if !ok {
				return
			}
			fits := w.MTU == 0 || len(next.data) <= w.MTU
			if fits && !w.Frozen && !w.Swallow && !l.path.chance(l.dir, w.Loss) {
				l.pass(w, next.data)
			}
		case <-ctx.Done():
			return
		}
	}
}

// pass writes a datagram, unless it is to be late, and then one that is.
func (l *datagramLane) pass(w Way, data []byte) {
	l.path.corrupt(l.dir, w, data)
	if l.late == nil && l.path.chance(l.dir, w.Reorder) {
		l.late = data
		return
	}
	l.write(data)
	if l.path.chance(l.dir, w.Duplicate) {
		l.write(data)
	}
	if l.late != nil {
		l.write(l.late)
		l.late = nil
	}
	l.path.delivered.Add(1)
}
