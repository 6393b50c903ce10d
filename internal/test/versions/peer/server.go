package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

// A task is the first byte of a connection that the server opens. It says what the client
// must do.
type task byte

const (
	taskEcho  task = 'e' // send back what arrives, and finish
	taskReset task = 'r' // reset the connection
	taskAbide task = 'a' // answer with the task, and expect a reset
	taskDial  task = 'd' // open a connection to the server, which echoes, and answer with the task
	taskQuit  task = 'q' // answer with the task, and close the listener
)

// payload is larger than any initial window.
var payload = bytes.Repeat([]byte("backdial"), 1<<17)

// serve makes a client do every task, move to another session, and do them again.
func serve(ctx context.Context, s stack, cert, key string) (info transport.Info, err error) {
	dialers := make(chan *transport.Dialer, 1)
	options := []transport.ServerOption{transport.WithAcceptFromClient(func(_ *transport.Dialer, conn net.Conn) { echo(conn) })}
	for _, o := range s.options {
		options = append(options, o)
	}
	server := transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) { dialers <- d }), options...)
	defer server.Close()
	stop, err := listen(s, server, cert, key)
	if err != nil {
		return info, err
	}
	defer stop()
	next := func() (*transport.Dialer, error) {
		select {
		case d := <-dialers:
			return d, nil
		case <-ctx.Done():
			return nil, fmt.Errorf("no client: %w", ctx.Err())
		}
	}
	first, err := next()
	if err != nil {
		return info, err
	}
	if err := employ(ctx, first); err != nil {
		return info, err
	}
	second, err := move(ctx, first, next)
	if err != nil {
		return info, fmt.Errorf("move the client: %w", err)
	}
	if err := employ(ctx, second); err != nil {
		return info, fmt.Errorf("in the session that the client has moved to: %w", err)
	}
	if err := ask(ctx, second, taskQuit); err != nil {
		return info, err
	}
	select {
	case <-second.Done():
	case <-ctx.Done():
	}
	if err := second.Err(); !errors.Is(err, mux.ErrClosedByPeer) {
		return info, fmt.Errorf("the session of a client that has closed it: %w", err)
	}
	return second.Info(), nil
}

// move makes a client move to another session, which next returns. Meanwhile it goes on
// with a connection in the old session.
func move(ctx context.Context, first *transport.Dialer, next func() (*transport.Dialer, error)) (*transport.Dialer, error) {
	conn, err := begin(ctx, first, taskEcho)
	if err != nil {
		return nil, err
	}
	shut := make(chan error, 1)
	go func() { shut <- first.Shutdown(ctx) }()
	second, err := next()
	return second, errors.Join(err, echoed(conn), <-shut)
}

// listen makes server listen at an address of its own, and prints the URL.
func listen(s stack, server *transport.Server, cert, key string) (stop func() error, err error) {
	certificate, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	const addr = "127.0.0.1:0"
	if l, ok := s.carrier.(carrier.Listener); ok {
		e, err := l.Listen(addr, config, server)
		if err != nil {
			return nil, err
		}
		go e.Serve() // ends when e is closed
		fmt.Printf("https://%s\n", e.Addr())
		return e.Close, nil
	}
	ln, err := tls.Listen("tcp", addr, config)
	if err != nil {
		return nil, err
	}
	go server.Serve(ln) // ends when server is closed
	fmt.Printf("https://%s\n", ln.Addr())
	return ln.Close, nil
}

// employ makes the client do every task but the last.
func employ(ctx context.Context, d *transport.Dialer) error {
	if err := d.Ping(ctx); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	for _, do := range []func(context.Context, *transport.Dialer) error{askEcho, askReset, askAbide, askDial} {
		if err := do(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// begin opens a connection for a task.
func begin(ctx context.Context, d *transport.Dialer, t task) (transport.Conn, error) {
	conn, err := d.DialContext(ctx, "", "")
	if err != nil {
		return nil, fmt.Errorf("task %c: %w", t, err)
	}
	if _, err := conn.Write([]byte{byte(t)}); err != nil {
		return nil, fmt.Errorf("task %c: %w", t, err)
	}
	deadline, _ := ctx.Deadline()
	return conn.(transport.Conn), conn.SetDeadline(deadline)
}

// ask makes the client do a task that it answers.
func ask(ctx context.Context, d *transport.Dialer, t task) error {
	conn, err := begin(ctx, d, t)
	if err != nil {
		return err
	}
	defer conn.Close()
	return answered(conn, t)
}

// answered expects the answer to a task to be that task.
func answered(conn net.Conn, t task) error {
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return fmt.Errorf("task %c: %w", t, err)
	}
	if answer[0] != byte(t) {
		return fmt.Errorf("task %c: the answer is %q", t, answer)
	}
	return nil
}

func askEcho(ctx context.Context, d *transport.Dialer) error {
	conn, err := begin(ctx, d, taskEcho)
	if err != nil {
		return err
	}
	return echoed(conn)
}

// echoed sends the payload, finishes, and expects the same back. It closes conn.
func echoed(conn transport.Conn) error {
	defer conn.Close()
	sent := make(chan error, 1)
	go func() { // ends with conn
		_, err := conn.Write(payload)
		sent <- errors.Join(err, conn.CloseWrite())
	}()
	back, err := io.ReadAll(conn)
	switch err := errors.Join(err, <-sent); {
	case err != nil:
		return fmt.Errorf("echo: %w", err)
	case !bytes.Equal(back, payload):
		return fmt.Errorf("echo: %d bytes came back, and not what was sent", len(back))
	}
	return nil
}

func askReset(ctx context.Context, d *transport.Dialer) error {
	conn, err := begin(ctx, d, taskReset)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.ReadAll(conn); !errors.Is(err, mux.ErrReset) {
		return fmt.Errorf("the client has reset a connection: %w", err)
	}
	return nil
}

func askAbide(ctx context.Context, d *transport.Dialer) error {
	conn, err := begin(ctx, d, taskAbide)
	if err != nil {
		return err
	}
	if err := answered(conn, taskAbide); err != nil {
		return err
	}
	return conn.Reset()
}

func askDial(ctx context.Context, d *transport.Dialer) error { return ask(ctx, d, taskDial) }
