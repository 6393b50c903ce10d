package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/leak"
)

// patience bounds every wait, on a loaded machine under the race detector.
const patience = time.Minute

const want = `The service behind the device answers "IS ANYBODY THERE?"` + "\n"

func TestDemonstrate(t *testing.T) {
	leak.Check(t)
	var out strings.Builder
	if err := demonstrate(t.Context(), listen(t), &out); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("printed %q", &out)
	}
}

func TestCommand(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "run", "./examples/forward")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
		t.Errorf("%v: printed %q, %v", cmd, out, err)
	}
}

func TestClientEndsFirst(t *testing.T) {
	leak.Check(t)
	client, service := forwarded(t)
	write(t, client, "request")
	client.CloseWrite()
	if got, err := io.ReadAll(service); err != nil || string(got) != "request" {
		t.Errorf("the service reads %q, %v", got, err)
	}
	write(t, service, "answer")
	service.Close()
	if got, err := io.ReadAll(client); err != nil || string(got) != "answer" {
		t.Errorf("the client reads %q, %v", got, err)
	}
}

func TestServiceEndsFirst(t *testing.T) {
	leak.Check(t)
	client, service := forwarded(t)
	write(t, service, "greeting")
	service.CloseWrite()
	if got, err := io.ReadAll(client); err != nil || string(got) != "greeting" {
		t.Errorf("the client reads %q, %v", got, err)
	}
	write(t, client, "farewell")
	client.Close()
	if got, err := io.ReadAll(service); err != nil || string(got) != "farewell" {
		t.Errorf("the service reads %q, %v", got, err)
	}
}

// TestMuchBothWays sends more than all buffers on the way hold.
func TestMuchBothWays(t *testing.T) {
	leak.Check(t)
	client, service := forwarded(t)
	sums := make(chan [2][sha256.Size]byte)
	for _, end := range []*net.TCPConn{client, service} {
		data := make([]byte, 16<<20)
		rand.Read(data)
		go func() {
			end.Write(data)
			end.CloseWrite()
		}()
		go func() {
			got, err := io.ReadAll(end)
			if err != nil {
				t.Error(err)
			}
			sums <- [2][sha256.Size]byte{sha256.Sum256(data), sha256.Sum256(got)}
		}()
	}
	if a, b := <-sums, <-sums; a[0] != b[1] || b[0] != a[1] {
		t.Error("other bytes arrived than were sent")
	}
}

// TestNoService uses a device whose target refuses connections.
func TestNoService(t *testing.T) {
	leak.Check(t)
	gone := listen(t)
	gone.Close()
	client, err := tryDial(t, start(t, t.Context(), gone.Addr().String()))
	if errors.Is(err, syscall.ECONNRESET) {
		return // before it has seen that it is connected
	} else if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(client); err == nil || isTimeout(err) {
		t.Errorf("the client reads %q to the end, %v", got, err)
	}
	// It may write until it is told, but not for ever.
	for {
		if _, err := client.Write(make([]byte, 1<<10)); isTimeout(err) {
			t.Fatal("the client writes to nobody")
		} else if err != nil {
			break
		}
	}
}

// TestCut stops the backend in the middle of an answer. The client must not take what it
// has for everything.
func TestCut(t *testing.T) {
	leak.Check(t)
	service := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	client := dial(t, start(t, ctx, service.Addr().String()))
	server, err := service.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	write(t, server, "half of an answ")
	if _, err := io.ReadFull(client, make([]byte, len("half of"))); err != nil {
		t.Fatal(err)
	}
	stop()
	if got, err := io.ReadAll(client); err == nil || isTimeout(err) {
		t.Errorf("the client reads %q to the end, %v", got, err)
	}
}

// TestServiceResets cuts an answer in the middle, to a client that has asked and is done.
func TestServiceResets(t *testing.T) {
	leak.Check(t)
	client, service := forwarded(t)
	write(t, client, "request")
	client.CloseWrite()
	if got, err := io.ReadAll(service); err != nil || string(got) != "request" {
		t.Errorf("the service reads %q, %v", got, err)
	}
	write(t, service, "half of an answ")
	if _, err := io.ReadFull(client, make([]byte, len("half of"))); err != nil {
		t.Fatal(err)
	}
	tcpConn{service}.Reset()
	if got, err := io.ReadAll(client); err == nil || isTimeout(err) {
		t.Errorf("the client reads %q to the end, %v", got, err)
	}
}

// TestClientResets cuts a request in the middle. The service must not take what it has
// for everything, and cannot answer.
func TestClientResets(t *testing.T) {
	leak.Check(t)
	client, service := forwarded(t)
	write(t, client, "hello")
	if _, err := io.ReadFull(service, make([]byte, len("hello"))); err != nil {
		t.Fatal(err)
	}
	tcpConn{client}.Reset()
	if got, err := io.ReadAll(service); err == nil || isTimeout(err) {
		t.Errorf("the service reads %q to the end, %v", got, err)
	}
	for nothing := bytes.Repeat([]byte{0}, 1<<10); ; {
		if _, err := service.Write(nothing); isTimeout(err) {
			t.Fatal("the service writes to nobody")
		} else if err != nil {
			break
		}
	}
}

// forwarded returns both ends of a connection to a service.
func forwarded(t *testing.T) (client, service *net.TCPConn) {
	t.Helper()
	ln := listen(t)
	client = dial(t, start(t, t.Context(), ln.Addr().String()))
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return client, conn.(*net.TCPConn)
}

// start forwards to target until the test ends, or ctx.
func start(t *testing.T, ctx context.Context, target string) net.Addr {
	t.Helper()
	local := listen(t)
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, local, target) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return local.Addr()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func dial(t *testing.T, addr net.Addr) *net.TCPConn {
	t.Helper()
	conn, err := tryDial(t, addr)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func tryDial(t *testing.T, addr net.Addr) (*net.TCPConn, error) {
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn.(*net.TCPConn), nil
}

func write(t *testing.T, conn net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(conn, s); err != nil {
		t.Fatal(err)
	}
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}
