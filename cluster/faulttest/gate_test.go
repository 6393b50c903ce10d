package faulttest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/transport"
)

// A request to a gate is a line of JSON: to dial a client, or if there is none, to tell
// how the process is.
type request struct {
	ID      string
	Timeout time.Duration
	Service bool // by a service in the process of the replica
}

// A reply of a gate is a line of JSON. After one without an error the connection is the
// client's.
type reply struct {
	Failure *failure
	Memory  uint64 // bytes that are in use, of all that the process holds
}

// A failure is the error of a Dial in another process.
type failure struct {
	Text                                                string
	NotConnected, Unavailable, Moved, NotAllowed, Ended bool
	Peer                                                string // the replica that a PeerError names
}

// kinds are the errors that callers act upon.
func (f *failure) kinds() map[error]*bool {
	return map[error]*bool{
		cluster.ErrNotConnected:  &f.NotConnected,
		cluster.ErrUnavailable:   &f.Unavailable,
		cluster.ErrMoved:         &f.Moved,
		cluster.ErrNotAllowed:    &f.NotAllowed,
		context.DeadlineExceeded: &f.Ended,
	}
}

func failureOf(err error) *failure {
	f := &failure{Text: err.Error()}
	for kind, is := range f.kinds() {
		*is = errors.Is(err, kind)
	}
	if peer, ok := errors.AsType[*cluster.PeerError](err); ok {
		f.Peer = peer.Node.Name
	}
	return f
}

func (f *failure) Error() string { return f.Text }

func (f *failure) Is(kind error) bool {
	is := f.kinds()[kind]
	return is != nil && *is
}

func (f *failure) As(target any) bool {
	peer, ok := target.(**cluster.PeerError)
	if ok = ok && f.Peer != ""; ok {
		*peer = &cluster.PeerError{Node: cluster.Node{Name: f.Peer}, Err: errors.New(f.Text)}
	}
	return ok
}

// A gate lets another process dial through a replica's cluster.
type gate struct {
	ln               net.Listener
	replica, service *cluster.Cluster
	open             sync.WaitGroup // connections, and the listener
}

func (g *gate) listen() (err error) {
	g.ln, err = net.Listen("tcp", "127.0.0.1:0")
	return err
}

// serve makes connections dial by one of two clusters.
func (g *gate) serve(replica, service *cluster.Cluster) {
	g.replica, g.service = replica, service
	g.open.Go(func() {
		for {
			conn, err := g.ln.Accept()
			if err != nil {
				return
			}
			g.open.Go(func() { g.answer(conn.(*net.TCPConn)) })
		}
	})
}

// drain lets nobody else in, and waits for the connections that are there. A last
// connection of its own shows that all before it were accepted.
func (g *gate) drain() {
	if last, err := net.Dial("tcp", g.ln.Addr().String()); err == nil {
		fmt.Fprintln(last, "{}")
		io.Copy(io.Discard, last)
		last.Close()
	}
	g.ln.Close()
	g.open.Wait()
}

func (g *gate) answer(conn *net.TCPConn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	line, err := in.ReadBytes('\n')
	var ask request
	if err != nil || json.Unmarshal(line, &ask) != nil {
		return
	}
	out := json.NewEncoder(conn)
	if ask.ID == "" {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		out.Encode(reply{Memory: m.HeapInuse + m.StackInuse})
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), ask.Timeout)
	defer cancel()
	from := g.replica
	if ask.Service {
		from = g.service
	}
	client, err := from.Dial(ctx, ask.ID)
	if err != nil {
		out.Encode(reply{Failure: failureOf(err)})
		return
	}
	if out.Encode(reply{}) != nil {
		client.Close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { pass(client.(transport.Conn), in, conn) })
	both.Go(func() { pass(tcp{conn}, client, client.(transport.Conn)) })
	both.Wait()
	client.Close()
}

// A resetter is a connection as a gate uses it.
type resetter interface {
	io.Writer
	CloseWrite() error
	Reset() error
}

type tcp struct{ *net.TCPConn }

func (c tcp) Reset() error {
	c.SetLinger(0)
	return c.Close()
}

// pass carries one direction.
func pass(to resetter, from io.Reader, source net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Reset()
		if r, ok := source.(*net.TCPConn); ok {
			tcp{r}.Reset()
		} else {
			source.(transport.Conn).Reset()
		}
		return
	}
	to.CloseWrite()
}

var _ transport.Conn = (*gated)(nil)

// A gated is a connection through a gate.
type gated struct {
	*net.TCPConn
	in *bufio.Reader
}

func (c *gated) Read(p []byte) (int, error) { return c.in.Read(p) }

func (c *gated) Reset() error { return tcp{c.TCPConn}.Reset() }

// through asks a gate. It closes the connection if ask was not to dial, or the dial
// failed.
func through(ctx context.Context, addr string, ask request) (net.Conn, reply, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil, reply{}, errors.New("a gate needs a deadline")
	}
	ask.Timeout = time.Until(deadline)
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, reply{}, fmt.Errorf("gate: %w", err)
	}
	conn.SetDeadline(deadline.Add(time.Second)) // the other side has it, too
	c := &gated{conn.(*net.TCPConn), bufio.NewReader(conn)}
	var told reply
	err = json.NewEncoder(conn).Encode(ask)
	if err == nil {
		var line []byte
		if line, err = c.in.ReadBytes('\n'); err == nil {
			err = json.Unmarshal(line, &told)
		}
	}
	conn.SetDeadline(time.Time{})
	switch {
	case err != nil:
		conn.Close()
		return nil, reply{}, fmt.Errorf("gate: %w", err)
	case told.Failure != nil || ask.ID == "":
		conn.Close()
		return nil, told, nil
	}
	return c, told, nil
}
