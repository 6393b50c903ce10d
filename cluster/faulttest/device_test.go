package faulttest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/transport"
)

// backoff is how long a device waits at most before it connects again.
const backoff = 50 * time.Millisecond

// A device is a client. On each connection it answers the first line with its name, the
// replica that it was dialled through, and the line; then it says what it hears.
type device struct {
	site     *site
	id, name string
	listener *transport.Listener
	serving  sync.WaitGroup
	use      func(transport.Conn) // its connections, instead of answering

	mu    sync.Mutex // guards below
	addr  string     // where it connects
	links map[*replica]*backdialtest.TCP
}

// device connects a client to a replica. It is closed when t is done.
func (s *site) device(id, name string, at *replica) *device {
	s.t.Helper()
	d := &device{site: s, id: id, name: name}
	d.use = d.answer
	d.connectTo(at)
	return d
}

// deviceUsing is device, with a use of its connections of its own.
func (s *site) deviceUsing(id string, at *replica, use func(transport.Conn)) *device {
	s.t.Helper()
	d := &device{site: s, id: id, name: id, use: use}
	d.connectTo(at)
	return d
}

func (d *device) connectTo(at *replica) {
	d.site.t.Helper()
	d.links = make(map[*replica]*backdialtest.TCP)
	d.addr = d.link(at).Addr()
	d.connect()
}

// deviceAt connects a client to an address at which all replicas are.
func (s *site) deviceAt(id, name, addr string) *device {
	s.t.Helper()
	d := &device{site: s, id: id, name: name, addr: addr}
	d.use = d.answer
	d.connect()
	return d
}

func (d *device) connect() {
	d.site.t.Helper()
	var err error
	d.listener, err = transport.DialAndListenContext(d.site.t.Context(), "", http.Header{"Deviceid": {d.id}},
		transport.WithURLFunc(d.next),
		transport.WithReconnect(transport.Backoff{Min: backoff, Max: backoff}),
		transport.WithHandshakeTimeout(2*beat),
		transport.WithKeepAlive(silence, silence))
	if err != nil {
		d.site.t.Fatal(err)
	}
	d.site.t.Cleanup(d.close)
	d.serving.Go(d.accept)
}

// close disconnects the client.
func (d *device) close() {
	d.listener.Close()
	d.serving.Wait()
}

// link returns the network from the device to a replica.
func (d *device) link(r *replica) *backdialtest.TCP {
	d.site.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.links[r] == nil {
		d.links[r] = backdialtest.NewTCP(d.site.t, r.Clients, 1)
		d.site.places.set(d.links[r].Addr(), r)
	}
	return d.links[r]
}

// next is where the device connects now.
func (d *device) next(context.Context) (url string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return "ws://" + d.addr, nil
}

// then makes the device connect to another replica, once it has lost its session.
func (d *device) then(to *replica) {
	d.site.t.Helper()
	addr := d.link(to).Addr()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.addr = addr
}

// moves makes the device lose its session, and connect to another replica.
func (d *device) moves(to *replica) {
	d.site.t.Helper()
	d.then(to)
	d.mu.Lock()
	defer d.mu.Unlock()
	for r, link := range d.links {
		if r != to {
			link.Cut(backdialtest.Reset)
		}
	}
}

func (d *device) accept() {
	for {
		conn, err := d.listener.Accept()
		if err != nil {
			return
		}
		d.serving.Go(func() { d.use(conn.(transport.Conn)) })
	}
}

// answer answers on a connection.
func (d *device) answer(conn transport.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n')
	if err == nil {
		_, err = fmt.Fprintf(conn, "%s %s %s", d.name, d.via(conn), line)
	}
	if err == nil {
		_, err = io.Copy(conn, in)
	}
	if err != nil {
		conn.Reset() // the other end must not take this for the end
	}
}

// via is the name of the replica through which the device was dialled.
func (d *device) via(conn net.Conn) string {
	return d.site.places.name(conn.RemoteAddr().String())
}
