package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
)

// demonstrate forwards to a service that answers when it has read everything, and asks it
// something.
func demonstrate(ctx context.Context, local net.Listener, w io.Writer) error {
	service, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer service.Close()
	go shout(service) // ends with Close
	ctx, stop := context.WithCancel(ctx)
	forwarded := make(chan error, 1)
	go func() { forwarded <- run(ctx, local, service.Addr().String()) }()

	answer, err := ask(ctx, local.Addr(), "is anybody there?")
	stop()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "The service behind the device answers %q\n", answer)
	return <-forwarded
}

// shout is the service.
func shout(service net.Listener) {
	for {
		conn, err := service.Accept()
		if err != nil {
			return
		}
		question, _ := io.ReadAll(conn)
		conn.Write(bytes.ToUpper(question))
		conn.Close()
	}
}

// ask is a client that knows nothing of backdial.
func ask(ctx context.Context, service net.Addr, question string) ([]byte, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", service.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, question); err != nil {
		return nil, err
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return nil, err
	}
	return io.ReadAll(conn)
}
