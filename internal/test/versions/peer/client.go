package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

// visit connects to a server, and does its tasks until the last, which is to quit.
func visit(ctx context.Context, s stack, url, ca string) (info transport.Info, err error) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return info, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	options := []transport.ClientOption{
		transport.WithReconnect(transport.Backoff{}), transport.WithTLSConfig(&tls.Config{RootCAs: roots}),
	}
	for _, o := range s.options {
		options = append(options, o)
	}
	lis, err := transport.DialAndListenContext(ctx, url, nil, options...)
	if err != nil {
		return info, err
	}
	defer lis.Close()
	done := make(chan error, 1) // of the first task that fails, or of the last
	tell := func(err error) {
		select {
		case done <- err:
		default:
		}
	}
	go func() { // ends when lis is closed
		for {
			conn, err := lis.Accept()
			if err != nil {
				tell(err)
				return
			}
			go func() { // ends with its connection, at the latest when lis is closed
				if quit, err := obey(ctx, lis, conn.(transport.Conn)); err != nil || quit {
					tell(err)
				}
			}()
		}
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	return lis.Info(), err
}

// obey does the task of a connection.
func obey(ctx context.Context, lis *transport.Listener, conn transport.Conn) (quit bool, err error) {
	defer conn.Close()
	var first [1]byte
	if _, err := io.ReadFull(conn, first[:]); err != nil {
		return false, fmt.Errorf("read the task: %w", err)
	}
	t := task(first[0])
	switch t {
	case taskEcho:
		return false, echo(conn)
	case taskReset:
		return false, conn.Reset()
	case taskAbide, taskQuit:
	case taskDial:
		out, err := lis.DialContext(ctx, "", "")
		if err != nil {
			return false, fmt.Errorf("dial the server: %w", err)
		}
		if err := echoed(out.(transport.Conn)); err != nil {
			return false, err
		}
	default:
		return false, fmt.Errorf("unknown task %q", first)
	}
	if _, err := conn.Write(first[:]); err != nil {
		return false, err
	}
	if t == taskAbide {
		if _, err := io.ReadAll(conn); !errors.Is(err, mux.ErrReset) {
			return false, fmt.Errorf("the server has reset a connection: %w", err)
		}
	}
	return t == taskQuit, nil
}

// echo sends back what it reads, and closes conn.
func echo(conn net.Conn) error {
	defer conn.Close()
	_, err := io.Copy(conn, conn)
	return err
}
