package testnet

import (
	"bytes"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Far is a connection in memory whose ends are a distance apart. Any number of bytes
// may be under way. It works in synctest bubbles.
type Far struct {
	A, B net.Conn

	delay atomic.Int64 // one way
}

// NewFar returns a connection with the given round trip, and a rate in bytes per second
// each way. It is closed when t is done.
func NewFar(t testing.TB, roundTrip time.Duration, rate float64) *Far {
	f := new(Far)
	f.SetRoundTrip(roundTrip)
	there, back := newPath(f, rate), newPath(f, rate)
	closing := new(sync.Once)
	f.A = farConn{in: there, out: back, closing: closing}
	f.B = farConn{in: back, out: there, closing: closing}
	t.Cleanup(func() { f.A.Close() })
	return f
}

// SetRoundTrip changes the round trip for what is sent from now on. Later bytes never
// overtake earlier ones.
func (f *Far) SetRoundTrip(d time.Duration) { f.delay.Store(int64(d / 2)) }

// A path is one direction of a Far.
type path struct {
	far  *Far
	rate float64 // bytes per second
	way  chan packet
	gone chan struct{}

	clear time.Time // when the last packet has left
	rest  packet
}

type packet struct {
	due  time.Time
	data []byte
}

func newPath(f *Far, rate float64) *path {
	return &path{far: f, rate: rate, way: make(chan packet, 1<<16), gone: make(chan struct{})}
}

func (p *path) write(b []byte) (int, error) {
	if now := time.Now(); p.clear.Before(now) {
		p.clear = now
	}
	p.clear = p.clear.Add(time.Duration(float64(len(b)) / p.rate * float64(time.Second)))
	select {
	case p.way <- packet{p.clear.Add(time.Duration(p.far.delay.Load())), bytes.Clone(b)}:
		return len(b), nil
	case <-p.gone:
		return 0, net.ErrClosed
	}
}

func (p *path) read(b []byte) (int, error) {
	if len(p.rest.data) == 0 {
		select {
		case p.rest = <-p.way:
		case <-p.gone:
			return 0, net.ErrClosed
		}
	}
	if wait := time.Until(p.rest.due); wait > 0 { // a timer that is due crashes go1.26.8 in a bubble, under the race detector
		select {
		case <-time.After(wait):
		case <-p.gone:
			return 0, net.ErrClosed
		}
	}
	n := copy(b, p.rest.data)
	p.rest.data = p.rest.data[n:]
	return n, nil
}

// A farConn is an end of a Far.
type farConn struct {
	in, out *path
	closing *sync.Once
}

func (c farConn) Read(b []byte) (int, error)  { return c.in.read(b) }
func (c farConn) Write(b []byte) (int, error) { return c.out.write(b) }

func (c farConn) Close() error {
	c.closing.Do(func() {
		close(c.in.gone)
		close(c.out.gone)
	})
	return nil
}

func (farConn) LocalAddr() net.Addr  { return farAddr{} }
func (farConn) RemoteAddr() net.Addr { return farAddr{} }

func (farConn) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (farConn) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (farConn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

type farAddr struct{}

func (farAddr) Network() string { return "far" }
func (farAddr) String() string  { return "far" }
