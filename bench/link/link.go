// Package link is a network path in user space: it puts distance between sockets of the
// loopback interface.
//
// It models a delay in each direction, a rate that all traffic of a direction shares, a
// queue before it, and loss for UDP. A TCP handshake takes its round trip. But the TCP
// connections on either side of the path end in it, so TCP needs no congestion control,
// slow start or recovery from loss, and does as well as it ever could. QUIC has all of
// them, end to end. A [Kernel] is a path where TCP has them too.
//
// Delivery is as exact as Go's timers: never early, and up to a millisecond late.
package link

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Conditions describe a path, the same in both directions.
type Conditions struct {
	RTT   time.Duration // half of it in each direction
	Rate  float64       // bytes per second
	Queue time.Duration // how long something may wait to be sent
	Loss  float64       // the share of datagrams that are lost, from 0 to 1
}

// delay is the time from leaving to arriving.
func (c Conditions) delay() time.Duration { return c.RTT / 2 }

// capacity is how many bytes of a connection are under way in a direction at most: those
// on the path and those in the queue.
func (c Conditions) capacity() int { return 1 + int(c.Rate*(c.delay()+c.Queue).Seconds()) }

// A Path is a way to a server. Close cuts it, and waits for everything that it started.
type Path struct {
	conditions Conditions
	target     string
	addr       net.Addr
	socket     io.Closer // that clients connect to
	up, down   *wire     // to the server, and from it
	rings      sync.Pool // from ended connections

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	wg   sync.WaitGroup
}

// Open creates a path to the server at target, an address on the loopback interface. The
// network is tcp or udp.
func Open(network, target string, c Conditions) (*Path, error) {
	if c.RTT < 0 || c.Rate <= 0 || c.Queue <= 0 || c.Loss < 0 || c.Loss > 1 {
		return nil, fmt.Errorf("link: %+v: the rate and the queue must be positive, the loss a share", c)
	}
	if c.Loss > 0 && network != "udp" {
		return nil, fmt.Errorf("link: a relay cannot drop what TCP carries: set a loss of 0, not %v", c.Loss)
	}
	p := &Path{conditions: c, target: target, up: newWire(c, 1), down: newWire(c, 2)}
	p.ctx, p.stop = context.WithCancel(context.Background())
	var err error
	switch network {
	case "tcp":
		err = p.listenTCP()
	case "udp":
		err = p.listenUDP()
	default:
		err = net.UnknownNetworkError(network)
	}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("link: open a path to %s over %s: %w", target, network, err)
	}
	return p, nil
}

// Addr is where clients find the path.
func (p *Path) Addr() string { return p.addr.String() }

// Carried returns what has been sent both ways and was not lost: the bytes of datagrams or
// of TCP connections, and how many datagrams or pieces that was.
func (p *Path) Carried() (bytes, packets int64) {
	for _, w := range []*wire{p.up, p.down} {
		w.mu.Lock()
		bytes += w.bytes
		packets += w.packets
		w.mu.Unlock()
	}
	return bytes, packets
}

// Close may be called again.
func (p *Path) Close() error {
	p.stop()
	err := p.socket.Close()
	p.wg.Wait()
	return err
}
