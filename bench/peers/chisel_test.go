package peers

import (
	"context"
	"fmt"
	"net"
	"time"

	chclient "github.com/jpillora/chisel/client"
	chserver "github.com/jpillora/chisel/server"

	"github.com/backdial/backdial/bench/harness"
)

// serveChisel is chisel with a port of the server for each client, which leads to a port
// at the client: a stream is a TCP connection at both ends, and SSH between them.
func serveChisel(keepAlive time.Duration) harness.Serve {
	return func(t harness.TB) func() (*harness.Session, error) { return listenChisel(t, keepAlive) }
}

// chisel has a keepalive of 25 s as a program, and none as a library. With a keepalive, the
// last goroutine of a session ends only that long after the session.
func chisel(keepAlive time.Duration) harness.Subject {
	const noSession = "does not say when it has a session"
	return harness.Subject{
		Name:   "carrier=chisel/mux=own",
		Serve:  serveChisel(keepAlive),
		Leaves: []string{"github.com/jpillora/chisel/share/tunnel.(*Tunnel).keepAliveLoop"},
		Skip: map[string]string{
			"BenchmarkSessionSetup":         noSession,
			"BenchmarkSessionSetupAtOnce":   noSession,
			"BenchmarkSessionSetupAndClose": noSession,
			"BenchmarkIdleStreams":          "takes more sockets than a process may have",
		},
	}
}

func listenChisel(t harness.TB, keepAlive time.Duration) func() (*harness.Session, error) {
	server, err := chserver.NewServer(&chserver.Config{Reverse: true, KeepAlive: keepAlive})
	if err != nil {
		t.Fatal(err)
	}
	server.Info = false
	addr := harness.FreeAddr(t, t.Host())
	host, port, _ := net.SplitHostPort(addr)
	if err := server.Start(host, port); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Close()
		server.Wait()
	})
	url := "http://" + t.Reach("tcp", addr)
	return func() (*harness.Session, error) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		open := harness.FreeAddr(t, "127.0.0.1")
		client, err := chclient.NewClient(&chclient.Config{
			Server:    url,
			Remotes:   []string{fmt.Sprintf("R:%s:%s", open, ln.Addr())},
			KeepAlive: keepAlive,
		})
		if err != nil {
			ln.Close()
			return nil, err
		}
		client.Info = false
		ctx, cancel := context.WithCancel(context.Background())
		made := &harness.Session{
			Dial:   func() (net.Conn, error) { return net.Dial("tcp", open) },
			Accept: ln.Accept,
			Close: func() {
				ln.Close()
				cancel()
				client.Close()
				client.Wait()
			},
		}
		if err := client.Start(ctx); err != nil {
			made.Close()
			return nil, err
		}
		// chisel does not say when the port is open and leads to the client.
		const patience = 10 * time.Second
		for deadline := time.Now().Add(patience); !leads(made, ln.(*net.TCPListener)); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				made.Close()
				return nil, fmt.Errorf("%s does not lead to the client after %v", open, patience)
			}
		}
		return made, nil
	}
}

// leads reports whether what the server dials arrives at the client.
func leads(s *harness.Session, ln *net.TCPListener) bool {
	dialled, err := s.Dial()
	if err != nil {
		return false
	}
	defer dialled.Close()
	ln.SetDeadline(time.Now().Add(time.Second))
	defer ln.SetDeadline(time.Time{})
	accepted, err := ln.Accept()
	if err != nil {
		return false
	}
	accepted.Close()
	return true
}
