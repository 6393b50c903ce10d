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
	// maxDatagram is larger than any of QUIC's. Longer ones are cut.
	maxDatagram = 4 << 10

	// datagrams is how many are under way in a lane, at most. More are lost.
	datagrams = 256

	// socketBuffer is what QUIC asks for too. The kernel may give less.
	socketBuffer = 7 << 20
)

// A UDP is a network between UDP clients and a server.
type UDP struct {
	path
	target *net.UDPAddr
	socket *net.UDPConn // that clients send to

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

// prepare gives a socket large buffers, and closes it when ctx ends.
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

// Rebind gives each client another source address at the server, like a NAT that has
// forgotten its clients. What the server sends to the old address is lost.
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

// Forget gives up the clients that have sent nothing for the time silent, like a NAT. If
// such a client sends again, it gets another source address at the server.
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
			continue // for instance because a client is gone
		}
		if f := u.flow(client); f != nil {
			f.up.offer(buf[:n])
		}
	}
}

// flow returns the flow of a client that has sent something, or nil if there cannot be
// one.
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

// A flow is the traffic between a client and the server.
type flow struct {
	network  *UDP
	up, down *datagramLane

	ctx   context.Context // ends with the network, or when the client is forgotten
	end   context.CancelFunc
	heard time.Time // when the client last sent something; guarded by flowsMu

	mu     sync.Mutex   // guards below
	socket *net.UDPConn // stands for the client at the server
}

// bind gives the client a new socket at the server.
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

// answer takes what the server sends, until the socket is closed.
func (f *flow) answer(socket *net.UDPConn) {
	buf := make([]byte, maxDatagram)
	for {
		n, err := socket.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil { // an error means that the server's port is closed
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
	late  []byte // sent after the next one
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

// offer puts a datagram on its way, if there is room.
func (l *datagramLane) offer(data []byte) {
	select {
	case l.queue <- datagram{bytes.Clone(data), time.Now()}:
	default:
	}
}

// deliver writes what arrives, until ctx ends.
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

// pass writes a datagram, unless it is to be late, and then an earlier one that is late.
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
