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

// A tcpConn is a TCP connection that can be reset, like those of a Dialer and a Listener.
type tcpConn struct{ *net.TCPConn }

// Reset implements [transport.Conn].
func (c tcpConn) Reset() error {
	c.SetLinger(0)
	return c.Close()
}

// WriteTo implements [io.WriterTo], which io.Copy uses. It reads twice as much at once as
// io.Copy does by itself: streams then take less of the processor.
func (c tcpConn) WriteTo(w io.Writer) (int64, error) {
	return io.CopyBuffer(w, struct{ io.Reader }{c.TCPConn}, make([]byte, 64<<10))
}

// whole returns conn with all of its methods, which net.Conn hides.
func whole(conn net.Conn) transport.Conn {
	if tcp, ok := conn.(*net.TCPConn); ok {
		return tcpConn{tcp}
	}
	return conn.(transport.Conn)
}

// forward joins each connection that ln accepts with one from dial, until ctx ends. It
// then closes ln, cuts the remaining connections, and waits for them.
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

// join copies both ways until each direction has ended by itself, and closes a and b. If
// one direction fails, or ctx ends, it resets both, so that nobody mistakes what has
// arrived for everything.
func join(ctx context.Context, a, b transport.Conn) error {
	defer a.Close()
	defer b.Close()
	resetBoth := func() { a.Reset(); b.Reset() } // wakes calls that block on them
	defer context.AfterFunc(ctx, resetBoth)()
	ended := make(chan error, 2)
	pass := func(to, from transport.Conn) {
		_, err := io.Copy(to, from)
		if err == nil {
			err = to.CloseWrite() // the other direction goes on
		}
		if err != nil {
			resetBoth()
		}
		ended <- err
	}
	go pass(a, b)
	go pass(b, a)
	return cmp.Or(<-ended, <-ended) // the second error is a consequence of the first
}
