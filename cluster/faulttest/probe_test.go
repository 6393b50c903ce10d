package faulttest

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/backdial/backdial/transport"
)

// A call is a connection to a device that has said who it is.
type call struct {
	net.Conn
	device, via string // the names of the device, and of the replica that has it
}

// call dials a device from a replica.
func (r *replica) call(ctx context.Context, id string) (*call, error) {
	conn, err := r.dial(ctx, id)
	if err != nil {
		return nil, err
	}
	return greet(ctx, conn)
}

// greet asks a device who it is.
func greet(ctx context.Context, conn net.Conn) (*call, error) {
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	c := &call{Conn: conn}
	nonce := rand.Text()
	_, err := fmt.Fprintln(conn, nonce)
	var said string
	if err == nil {
		_, err = fmt.Fscanln(conn, &c.device, &c.via, &said)
	}
	if err != nil {
		conn.Close()
		return nil, &lostError{err}
	}
	if said != nonce {
		conn.Close()
		return nil, fmt.Errorf("%s said %q, want %q: it is another connection's", c.device, said, nonce)
	}
	return c, nil
}

// A lostError is the error of a connection that ended before the device said who it is,
// for instance with its session.
type lostError struct{ err error }

func (e *lostError) Error() string { return "the connection was lost: " + e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// talks reports whether a connection is in order: what is said is heard.
func (c *call) talks(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	text := rand.Text()
	if _, err := io.WriteString(c, text); err != nil {
		return fmt.Errorf("connection through %s: write: %w", c.via, err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil {
		return fmt.Errorf("connection through %s: read: %w", c.via, err)
	}
	if string(got) != text {
		return fmt.Errorf("connection through %s: read %q, want %q", c.via, got, text)
	}
	return nil
}

// ends closes a connection, and expects that the device has finished it too.
func (c *call) ends(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	defer c.Close()
	if err := c.Conn.(transport.Conn).CloseWrite(); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, c)
	return err
}

// reaches expects that a device is reached at the first try, through a replica.
func (r *replica) reaches(d *device, via *replica) {
	r.site.t.Helper()
	c := r.connects(d, via)
	if c == nil {
		return
	}
	ctx, cancel := r.site.within(patience)
	defer cancel()
	if err := c.ends(ctx); err != nil {
		r.site.t.Errorf("%s dials %s: end: %v", r.name, d.id, err)
	}
}

// connects is reaches, and returns the connection, which is closed when t is done, or nil.
func (r *replica) connects(d *device, via *replica) *call {
	r.site.t.Helper()
	ctx, cancel := r.site.within(patience)
	defer cancel()
	c, err := r.call(ctx, d.id)
	if err != nil {
		r.site.t.Errorf("%s dials %s: %v", r.name, d.id, err)
		return nil
	}
	r.site.t.Cleanup(func() { c.Close() })
	if c.device != d.name || c.via != via.name {
		r.site.t.Errorf("%s dials %s: reached %s through %s, want %s through %s", r.name, d.id, c.device, c.via, d.name, via.name)
	}
	return c
}

// finds waits until a device is reached through a replica, and expects not to reach
// another device.
func (r *replica) finds(d *device, via *replica) {
	r.site.t.Helper()
	var last string
	r.site.await(fmt.Sprintf("%s reaches %s through %s", r.name, d.name, via.name), func() bool {
		r.site.t.Helper()
		ctx, cancel := r.site.within(5 * time.Second)
		defer cancel()
		c, err := r.call(ctx, d.id)
		if err != nil {
			if s := err.Error(); s != last {
				last = s
				fmt.Fprintf(r.site.log, "test: %s dials %s: %v\n", r.name, d.id, err)
			}
			return false
		}
		defer c.Close()
		if c.device != d.name {
			r.site.t.Fatalf("%s dials %s: reached %s, want %s", r.name, d.id, c.device, d.name)
		}
		return c.via == via.name
	})
}

// allFind waits until each replica reaches each device, through the one that has it.
func (s *site) allFind(has map[*device]*replica) {
	s.t.Helper()
	for d, via := range has {
		for _, r := range s.replicas {
			r.finds(d, via)
		}
	}
}

// within returns a context that ends after d.
func (s *site) within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.t.Context(), d)
}

// fails dials a device, and returns how long that took, and the error. It is given 10 s.
func (r *replica) fails(id string) (took time.Duration, err error) {
	r.site.t.Helper()
	ctx, cancel := r.site.within(10 * time.Second)
	defer cancel()
	began := time.Now()
	c, err := r.call(ctx, id)
	if err == nil {
		c.Close()
		r.site.t.Errorf("%s dials %s: reached %s through %s, want an error", r.name, id, c.device, c.via)
	}
	return time.Since(began), err
}

// still expects that connections are in order.
func (s *site) still(calls ...*call) {
	s.t.Helper()
	ctx, cancel := s.within(patience)
	defer cancel()
	for _, c := range calls {
		if c == nil {
			continue
		}
		if err := c.talks(ctx); err != nil {
			s.t.Errorf("%s: %v", c.device, err)
		}
	}
}
