package link

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// mtu is the largest datagram that gets through, as on an Ethernet.
const mtu = 1500

// socketBuffer is what QUIC asks for too. The kernel may give less.
const socketBuffer = 7 << 20

// listenUDP relays the datagrams of clients. Each client gets a socket of its own, so
// that the server can tell them apart.
func (p *Path) listenUDP() error {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	p.socket, p.addr = c, c.LocalAddr()
	if err := prepare(c); err != nil {
		c.Close()
		return err
	}
	lanes := make(map[netip.AddrPort]*lane)
	p.wg.Go(func() {
		p.receive(c, func(client netip.AddrPort) *lane {
			if lanes[client] == nil {
				lanes[client] = p.newLane(c, client)
			}
			return lanes[client]
		})
	})
	return nil
}

func prepare(c *net.UDPConn) error {
	c.SetReadBuffer(socketBuffer)
	c.SetWriteBuffer(socketBuffer)
	return coalesce(c)
}

// newLane relays the server's datagrams to a client, and returns the lane in the other
// direction, or nil if that fails.
func (p *Path) newLane(socket *net.UDPConn, client netip.AddrPort) *lane {
	c, err := net.Dial("udp4", p.target)
	if err != nil {
		return nil
	}
	server := c.(*net.UDPConn)
	if err := prepare(server); err != nil {
		server.Close()
		return nil
	}
	context.AfterFunc(p.ctx, func() { server.Close() })
	up := &lane{p.up, newQueue[*train](), server, netip.AddrPort{}}
	down := &lane{p.down, newQueue[*train](), socket, client}
	p.wg.Go(func() { up.deliver(p.ctx) })
	p.wg.Go(func() { down.deliver(p.ctx) })
	p.wg.Go(func() { p.receive(server, func(netip.AddrPort) *lane { return down }) })
	return up
}

// receive sends what a socket receives on the lane of its sender, until the path is
// closed.
func (p *Path) receive(c *net.UDPConn, laneOf func(netip.AddrPort) *lane) {
	buf := make([]byte, 1<<16)
	for {
		n, size, from, err := readTrain(c, buf)
		if p.ctx.Err() != nil {
			return
		}
		if err != nil {
			continue // for instance a closed port
		}
		if l := laneOf(from); l != nil {
			l.send(buf[:n], size)
		}
	}
}

// A lane is one direction of the traffic between a client and the server.
type lane struct {
	wire   *wire
	queue  *queue[*train]
	socket *net.UDPConn
	to     netip.AddrPort // zero if the socket is connected
}

// A train is datagrams that travel together. All have the same size, except that the last
// may be smaller.
type train struct {
	bytes []byte
	size  int
}

var trains = sync.Pool{New: func() any { return new(train) }}

// send puts those datagrams under way that are not lost. They arrive with the last of
// them.
func (l *lane) send(bytes []byte, size int) {
	if size == 0 || size > mtu {
		return
	}
	t := trains.Get().(*train)
	t.bytes, t.size = t.bytes[:0], size
	var arrival time.Time
	for datagram := range slices.Chunk(bytes, size) {
		if at, lost := l.wire.offer(len(datagram)); !lost {
			t.bytes = append(t.bytes, datagram...)
			arrival = at
		}
	}
	if len(t.bytes) == 0 {
		trains.Put(t)
		return
	}
	l.queue.put(t, arrival)
}

// deliver writes what is due.
func (l *lane) deliver(ctx context.Context) {
	var due []*train
	for {
		var ok bool
		if due, ok = l.queue.take(ctx, due[:0]); !ok {
			return
		}
		for _, t := range due {
			writeTrain(l.socket, t, l.to) // an error is a loss, as with any datagram
			trains.Put(t)
		}
	}
}
