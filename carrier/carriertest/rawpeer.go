package carriertest

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// A silent server reads what arrives, and sends nothing.
type silent struct {
	heard  <-chan struct{} // closed when something has arrived
	hungUp <-chan struct{} // closed when the client has closed its connection; nil on UDP
}

// silence replaces s by a silent server, until t ends.
func silence(t *testing.T, s *server) silent {
	t.Helper()
	if s.network == "udp" {
		return silent{heard: silentUDP(t, s)}
	}
	heard, hungUp := make(chan struct{}), make(chan struct{})
	serveRaw(t, s, func(conn net.Conn) {
		if _, err := io.ReadFull(conn, make([]byte, 1)); err == nil {
			close(heard)
		}
		io.Copy(io.Discard, conn)
		close(hungUp)
	})
	return silent{heard, hungUp}
}

func silentUDP(t *testing.T, s *server) (heard <-chan struct{}) {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.setAddr(socket.LocalAddr())
	c := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, _, err := socket.ReadFrom(make([]byte, 1)); err == nil {
			close(c)
		}
	})
	t.Cleanup(func() {
		socket.Close()
		wg.Wait()
	})
	return c
}

// serveRaw lets answer replace s for one TCP connection, until t ends.
func serveRaw(t *testing.T, s *server, answer func(net.Conn)) {
	t.Helper()
	s.needNetwork(t, "tcp")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.setAddr(ln.Addr())
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex // guards conn
		conn net.Conn
	)
	wg.Go(func() {
		accepted, err := ln.Accept()
		if err != nil {
			return
		}
		mu.Lock()
		conn = accepted
		mu.Unlock()
		defer accepted.Close()
		answer(accepted)
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		if conn != nil {
			conn.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
}

// dialRaw returns a TCP connection to s, which is closed when t ends.
func dialRaw(t *testing.T, s *server) net.Conn {
	t.Helper()
	conn, err := net.Dial(s.network, s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// secure returns conn, wrapped in TLS if config is not nil.
func secure(conn net.Conn, config *tls.Config, over func(net.Conn, *tls.Config) *tls.Conn) net.Conn {
	if config == nil {
		return conn
	}
	return over(conn, config)
}

// dripPause is the pause between two bytes of drip.
const dripPause = 50 * time.Millisecond

// drip writes head, and then a byte at a time, until the peer has closed the connection.
func drip(conn net.Conn, head string) error {
	_, err := io.WriteString(conn, head)
	for err == nil {
		<-time.After(dripPause)
		_, err = conn.Write([]byte{'a'})
	}
	return err
}

// pour writes head, and then again repeatedly, until the peer has closed the connection
// or taken limit bytes. It returns how many bytes the peer has taken.
func pour(conn net.Conn, head, again string, limit int) (n int, err error) {
	n, err = io.WriteString(conn, head)
	for chunk := bytes.Repeat([]byte(again), 1024); err == nil && n < limit; {
		var written int
		written, err = conn.Write(chunk)
		n += written
	}
	return n, err
}
