package faultnet

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// pieceSize is the largest piece of a TCP connection.
	pieceSize = 16 << 10

	// pieces is how many pieces of a connection are under way in a direction, at most: a
	// sender can send that much when the way is frozen, plus what the kernel holds.
	pieces = 16
)

// conn is a TCP connection through the network. It consists of two.
type conn struct {
	client, server *net.TCPConn
	up, down       pipe

	ctx context.Context // ends when it is cut
	cut context.CancelFunc
}

func newConn(p *path, client, server *net.TCPConn) *conn {
	c := &conn{client: client, server: server}
	c.ctx, c.cut = context.WithCancel(p.ctx)
	c.up = pipe{lane{path: p, dir: up, holds: true}, client, server, make(chan piece, pieces)}
	c.down = pipe{lane{path: p, dir: down, holds: true}, server, client, make(chan piece, pieces)}
	return c
}

// run carries bytes both ways until both ends have finished, or one has failed.
func (c *conn) run() {
	defer c.cut()
	defer context.AfterFunc(c.up.path.ctx, func() { c.end(Reset) })()
	var all sync.WaitGroup
	for _, p := range []*pipe{&c.up, &c.down} {
		all.Go(p.receive)
		all.Go(func() { p.deliver(c.ctx) })
	}
	all.Wait()
	c.client.Close()
	c.server.Close()
}

// end makes both directions swallow the rest, and tells the ends.
func (c *conn) end(how Cut) {
	c.cut()
	switch how {
	case Reset:
		reset(c.client)
		reset(c.server)
	case Finish:
		c.client.CloseWrite()
		c.server.CloseWrite()
	case ResetClient:
		reset(c.client)
	case ResetServer:
		reset(c.server)
	}
}

// A pipe is one direction of a connection.
type pipe struct {
	lane
	from, to *net.TCPConn
	queue    chan piece // closed by receive
}

// A piece is what arrived at once: bytes, or an end.
type piece struct {
	data []byte
	sent time.Time
	err  error // how it ended
}

// receive reads from one end, and stops reading while too much is under way.
func (p *pipe) receive() {
	defer close(p.queue)
	buf := make([]byte, pieceSize)
	for {
		n, err := p.from.Read(buf)
		if n > 0 {
			p.queue <- piece{data: bytes.Clone(buf[:n]), sent: time.Now()}
		}
		if err != nil {
			p.queue <- piece{sent: time.Now(), err: err}
			return
		}
	}
}

// deliver writes to the other end. Once it cannot, or must not, it drops what comes, so
// that the sender notices nothing.
func (p *pipe) deliver(ctx context.Context) {
	for next := range p.queue {
		if !p.pass(ctx, next) {
			for range p.queue {
			}
		}
	}
}

// pass delivers one piece. It returns false if nothing can follow.
func (p *pipe) pass(ctx context.Context, next piece) bool {
	for first := true; first || len(next.data) > 0; first = false {
		size := len(next.data)
		if w, _ := p.path.way(p.dir); w.Chunk > 0 && size > 1 {
			size = 1 + p.path.below(p.dir, min(size, w.Chunk))
		}
		w, ok := p.arrive(ctx, next.sent, size)
		if !ok || w.Swallow {
			return false
		}
		switch {
		case next.err == io.EOF:
			p.to.CloseWrite()
			return false
		case next.err != nil:
			reset(p.to)
			return false
		}
		p.path.corrupt(p.dir, w, next.data[:size])
		if _, err := p.to.Write(next.data[:size]); err != nil {
			return false
		}
		next.data = next.data[size:]
	}
	p.path.delivered.Add(1)
	return true
}
