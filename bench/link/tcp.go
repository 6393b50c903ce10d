package link

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// chunk is how many bytes are sent at a time, at most: enough for few system calls, and
// little beside the delay.
const chunk = 64 << 10

// buffer is the kernel's buffer for each of the relay's sockets and directions. It
// bridges the time in which the relay waits for a processor. It is also a queue that the
// conditions do not show, so it is no larger than that needs.
const buffer = 512 << 10

// listenTCP relays the connections of clients.
func (p *Path) listenTCP() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p.socket, p.addr = ln, ln.Addr()
	p.wg.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.connect(client.(*net.TCPConn)) })
		}
	})
	return nil
}

// connect performs the handshake. The kernel has told the client at once that it is
// connected, which takes a round trip on a real path, so what the client sends waits
// until then.
func (p *Path) connect(client *net.TCPConn) {
	if !sleep(p.ctx, p.conditions.RTT) {
		reset(client)
		return
	}
	var d net.Dialer
	server, err := d.DialContext(p.ctx, "tcp", p.target)
	if err != nil {
		reset(client)
		return
	}
	p.relay(client, server.(*net.TCPConn))
}

// relay carries bytes both ways until both ends have finished, one has failed, or the
// path is closed.
func (p *Path) relay(client, server *net.TCPConn) {
	for _, c := range []*net.TCPConn{client, server} {
		c.SetReadBuffer(buffer)
		c.SetWriteBuffer(buffer)
	}
	ctx, cut := context.WithCancel(p.ctx)
	defer cut()
	stop := context.AfterFunc(ctx, func() {
		reset(client)
		reset(server)
	})
	// On a real path the server learns of its client a delay later, and only then sends.
	up := p.newPipe(p.up, client, server, time.Time{})
	down := p.newPipe(p.down, server, client, time.Now().Add(p.conditions.RTT))
	var all sync.WaitGroup
	for _, run := range []func(context.Context) error{up.receive, up.deliver, down.receive, down.deliver} {
		all.Go(func() {
			if run(ctx) != nil {
				cut()
			}
		})
	}
	all.Wait()
	if stop() { // not cut: the kernel delivers the rest
		client.Close()
		server.Close()
	}
	p.rings.Put(up.ring)
	p.rings.Put(down.ring)
}

// reset closes a connection as if it had failed.
func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}

// A pipe is one direction of a connection.
type pipe struct {
	wire     *wire
	from, to *net.TCPConn
	first    time.Time // nothing arrives earlier
	ring     *ring
	lengths  *queue[int] // of the chunks in the ring; 0 is the end
}

func (p *Path) newPipe(w *wire, from, to *net.TCPConn, first time.Time) *pipe {
	r, ok := p.rings.Get().(*ring)
	if !ok {
		r = newRing(p.conditions.capacity())
	}
	r.reset()
	return &pipe{w, from, to, first, r, newQueue[int]()}
}

// receive reads from one end, and stops reading while too much is under way.
func (p *pipe) receive(ctx context.Context) error {
	for {
		room := p.ring.room(ctx, chunk)
		if room == nil {
			return ctx.Err()
		}
		n, err := p.from.Read(room)
		if n == 0 && err != nil && err != io.EOF {
			return err
		}
		p.ring.fill(n)
		arrival := p.wire.send(n)
		if arrival.Before(p.first) {
			arrival = p.first
		}
		p.lengths.put(n, arrival)
		if n == 0 {
			return nil
		}
	}
}

// deliver writes to the other end everything that is due, at once.
func (p *pipe) deliver(ctx context.Context) error {
	var due []int
	for {
		var ok bool
		if due, ok = p.lengths.take(ctx, due[:0]); !ok {
			return ctx.Err()
		}
		total := 0
		for _, n := range due {
			total += n
		}
		for total > 0 {
			n, err := p.to.Write(p.ring.oldest(total))
			if err != nil {
				return err
			}
			p.ring.empty(n)
			total -= n
		}
		if due[len(due)-1] == 0 {
			return p.to.CloseWrite()
		}
	}
}
