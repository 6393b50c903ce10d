package main

import (
	"cmp"
	"context"
	"io"
	"log"
	"net"
	"sync"

	"github.com/backdial/backdial/transport"
)

// A tcpConn is a TCP connection that can be reset, as what a Dialer dials and a
// Listener accepts can.
type tcpConn struct{ *net.TCPConn }

// Reset implements [transport.Conn].
func (c tcpConn) Reset() error {
	c.SetLinger(0)
	return c.Close()
}

// whole returns conn with all that it can do, which net.Conn does not tell.
func whole(conn net.Conn) transport.Conn {
	if tcp, ok := conn.(*net.TCPConn); ok {
		return tcpConn{tcp}
	}
	return conn.(transport.Conn)
}

// forward joins each connection that ln accepts with one that dial opens, until ctx
// ends. It closes ln, cuts what is left, and waits for it.
func forward(ctx context.Context, ln net.Listener, dial func(context.Context) (net.Conn, error)) error {
	var all sync.WaitGroup
	defer all.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	context.AfterFunc(ctx, func() { ln.Close() })
	for {
		near, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		all.Go(func() {
			far, err := dial(ctx)
			if err != nil {
				whole(near).Reset()
			} else {
				err = join(ctx, whole(near), whole(far))
			}
			if err != nil && ctx.Err() == nil {
				log.Printf("A connection from %v was cut: %v", near.RemoteAddr(), err)
			}
		})
	}
}

// join copies both ways until each direction has ended by itself, and closes a and b.
// If one fails, or ctx ends, it resets both, so that nobody takes what has arrived for
// all there was.
func join(ctx context.Context, a, b transport.Conn) error {
	defer a.Close()
	defer b.Close()
	resetBoth := func() { a.Reset(); b.Reset() } // which wakes whatever is blocked on them
	defer context.AfterFunc(ctx, resetBoth)()
	ended := make(chan error, 2)
	pass := func(to, from transport.Conn) {
		_, err := io.Copy(to, from)
		if err == nil {
			err = to.CloseWrite() // and the other direction goes on
		}
		if err != nil {
			resetBoth()
		}
		ended <- err
	}
	go pass(a, b)
	go pass(b, a)
	return cmp.Or(<-ended, <-ended) // the second is a consequence of the first
}
