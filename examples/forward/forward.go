package main

import (
	"cmp"
	"context"
	"io"
	"log"
	"net"
	"sync"
)

// A halfCloser can end one direction and go on with the other. A [*net.TCPConn] is
// one, and so is what a Dialer dials and a Listener accepts.
type halfCloser interface {
	net.Conn
	CloseWrite() error
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
				cut(near)
			} else {
				err = join(ctx, near.(halfCloser), far.(halfCloser))
			}
			if err != nil && ctx.Err() == nil {
				log.Printf("A connection from %v was cut: %v", near.RemoteAddr(), err)
			}
		})
	}
}

// join copies both ways until each direction has ended by itself, and closes a and b.
// If one fails, or ctx ends, it cuts both.
func join(ctx context.Context, a, b halfCloser) error {
	defer a.Close()
	defer b.Close()
	cutBoth := func() { cut(a); cut(b) } // which wakes whatever is blocked on them
	defer context.AfterFunc(ctx, cutBoth)()
	ended := make(chan error, 2)
	pass := func(to, from halfCloser) {
		_, err := io.Copy(to, from)
		if err == nil {
			err = to.CloseWrite() // and the other direction goes on
		}
		if err != nil {
			cutBoth()
		}
		ended <- err
	}
	go pass(a, b)
	go pass(b, a)
	return cmp.Or(<-ended, <-ended) // the second is a consequence of the first
}

// cut closes conn. Over TCP it is reset, so that nobody takes what has arrived for
// all there was. A stream has nothing like that: its other end reads io.EOF, and finds
// its writes fail.
func cut(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}
