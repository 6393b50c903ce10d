package nativemux

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/carrier"
)

// A memConn is one end of a connection in memory that has streams. It has no buffers: a
// Write waits for the peer to read.
type memConn struct {
	net.Conn // the connection's own bytes
	peer     *memConn
	network  *memNetwork
	arrivals chan *memStream
	closed   chan struct{} // by Close
	once     sync.Once
}

var _ carrier.StreamConn = (*memConn)(nil)

// A memNetwork is what the two ends of a connection share.
type memNetwork struct {
	mu      sync.Mutex // guards below
	streams []*memStream
}

var (
	errCut  = errors.New("connection cut") // by the peer's Close
	errFull = errors.New("too many streams")
)

// newMemConns returns the two ends of a connection.
func newMemConns() (*memConn, *memConn) {
	n := new(memNetwork)
	newEnd := func(own net.Conn) *memConn {
		return &memConn{Conn: own, network: n, arrivals: make(chan *memStream, 1<<10), closed: make(chan struct{})}
	}
	own, peers := net.Pipe()
	a, b := newEnd(own), newEnd(peers)
	a.peer, b.peer = b, a
	return a, b
}

func (*memConn) Protocol() string { return token }

func (*memConn) Windows() carrier.Windows {
	return carrier.Windows{Stream: 4 << 10, MaxStream: 16 << 10, All: 256 << 10}
}

func (c *memConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, c.cause(err)
}

func (c *memConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.cause(err)
}

// cause returns the error for a call that failed with err.
func (c *memConn) cause(err error) error {
	switch {
	case err == nil:
		return nil
	case isClosed(c.closed):
		return net.ErrClosed
	case isClosed(c.peer.closed):
		return errCut
	}
	return err
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (c *memConn) OpenStream(ctx context.Context) (carrier.Stream, error) {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if err := cmp.Or(ctx.Err(), c.cause(errFull)); err != errFull {
		return nil, err // and Close has not missed the stream
	}
	ours, theirs := c.newStream()
	select {
	case c.peer.arrivals <- theirs:
		c.network.streams = append(c.network.streams, ours, theirs)
		return ours, nil
	default:
		return nil, errFull
	}
}

func (c *memConn) AcceptStream(ctx context.Context) (carrier.Stream, error) {
	select {
	case s := <-c.arrivals:
		return s, nil
	case <-c.closed:
		return nil, net.ErrClosed
	case <-c.peer.closed:
		return nil, errCut
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// CloseWrite ends the connection's own bytes, in both directions.
func (c *memConn) CloseWrite() error { return c.Conn.Close() }

func (c *memConn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.Conn.Close()
		c.network.mu.Lock()
		defer c.network.mu.Unlock()
		for _, s := range c.network.streams {
			s.in.reader.Close()
			s.out.writer.Close()
		}
	})
	return nil
}

// A memStream is one end of a stream.
type memStream struct {
	conn    *memConn
	id      uint64
	in, out *half
}

// A half is one direction of a stream.
type half struct {
	reader, writer   net.Conn
	stopped, dropped atomic.Pointer[carrier.CanceledError] // by the reader, by the writer
}

func newHalf() *half {
	h := new(half)
	h.reader, h.writer = net.Pipe()
	return h
}

// newStream returns the two ends of a stream that c opens.
func (c *memConn) newStream() (ours, theirs *memStream) {
	id := uint64(len(c.network.streams))
	up, down := newHalf(), newHalf()
	return &memStream{conn: c, id: id, in: down, out: up}, &memStream{conn: c.peer, id: id, in: up, out: down}
}

func (s *memStream) ID() uint64 { return s.id }

func (s *memStream) Read(p []byte) (n int, err error) {
	if len(p) > 0 {
		n, err = s.in.reader.Read(p)
	} else if s.in.dropped.Load() != nil {
		err = io.EOF
	}
	if canceled := s.in.dropped.Load(); err == io.EOF && canceled != nil {
		err = canceled
	}
	return n, s.conn.cause(err)
}

func (s *memStream) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := s.out.writer.Write(p)
	if canceled := s.out.stopped.Load(); err == io.ErrClosedPipe && canceled != nil {
		err = canceled
	}
	return n, s.conn.cause(err)
}

func (s *memStream) SetReadDeadline(t time.Time) error  { return s.in.reader.SetReadDeadline(t) }
func (s *memStream) SetWriteDeadline(t time.Time) error { return s.out.writer.SetWriteDeadline(t) }
func (s *memStream) CloseWrite() error                  { return s.out.writer.Close() }

func (s *memStream) CancelRead(code uint32) {
	s.in.stopped.Store(&carrier.CanceledError{Code: code})
	s.in.reader.Close()
}

func (s *memStream) CancelWrite(code uint32) {
	s.out.dropped.Store(&carrier.CanceledError{Code: code})
	s.out.writer.Close()
}
