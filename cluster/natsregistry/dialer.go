package natsregistry

import (
	"context"
	"net"
)

// A dialer makes the connections to the engine. When its context ends, it ends them at once,
// and attempts too: nats.go would wait for those.
type dialer struct {
	ctx context.Context
	net net.Dialer
}

// use makes it dial like other, if that is not nil.
func (d *dialer) use(other *net.Dialer) {
	d.net = net.Dialer{Timeout: dialTimeout}
	if other != nil {
		d.net = *other
	}
}

// Dial implements [nats.CustomDialer].
func (d *dialer) Dial(network, addr string) (net.Conn, error) {
	c, err := d.net.DialContext(d.ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &conn{c, context.AfterFunc(d.ctx, func() { c.Close() })}, nil
}

// A conn is closed when a context ends, too.
type conn struct {
	net.Conn
	stop func() bool
}

func (c *conn) Close() error {
	c.stop()
	return c.Conn.Close()
}
