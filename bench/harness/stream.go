package harness

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// StreamSetup makes one stream after the other.
func StreamSetup(b *testing.B, subjects []Subject) {
	each(b, subjects, func(b *testing.B, s Subject) {
		made := s.startEcho(b)
		b.ReportAllocs()
		var l Latency
		for b.Loop() {
			l.Time(func() {
				if err := dialAndAsk(made.Dial); err != nil {
					b.Fatal(err)
				}
			})
		}
		l.Report(b)
	})
}

// StreamSetupAtOnce makes streams in 64 goroutines.
func StreamSetupAtOnce(b *testing.B, subjects []Subject) {
	const dialling = 64
	each(b, subjects, func(b *testing.B, s Subject) {
		made := s.startEcho(b)
		var left atomic.Int64
		left.Store(int64(b.N))
		b.ResetTimer()
		var all sync.WaitGroup
		for range dialling {
			all.Go(func() {
				for left.Add(-1) >= 0 {
					if err := dialAndAsk(made.Dial); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "streams/s")
	})
}

// dialAndAsk is the life of a short stream: the server dials, writes a byte, the
// client accepts and echoes it, the server reads it and closes.
func dialAndAsk(dial func() (net.Conn, error)) error {
	c, err := dial()
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer c.Close()
	var one [1]byte
	return Ask(c, one[:])
}

// Ask writes message to c, and reads it back.
func Ask(c net.Conn, message []byte) error {
	if _, err := c.Write(message); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	if _, err := io.ReadFull(c, message); err != nil {
		return fmt.Errorf("await the answer: %w", err)
	}
	return nil
}

// echoes pools the buffers of echo. io.Copy's are 32 KiB, which would hide what a stream
// costs.
var echoes = sync.Pool{New: func() any { return new([512]byte) }}

// echo writes to c what it reads from it, until that fails or ends.
func echo(c net.Conn) {
	buf := echoes.Get().(*[512]byte)
	defer echoes.Put(buf)
	for {
		n, err := c.Read(buf[:])
		if n > 0 {
			if _, err := c.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// open returns both ends of a new stream, which has carried a byte.
func open(s *Session) (server, client net.Conn, err error) {
	type accepted struct {
		c   net.Conn
		err error
	}
	accept := make(chan accepted, 1)
	go func() { // during the dial, because TLS shakes hands in it
		c, err := s.Accept()
		accept <- accepted{c, err}
	}()
	if server, err = s.Dial(); err != nil {
		return nil, nil, fmt.Errorf("dial: %w", err)
	}
	var one [1]byte
	if _, err := server.Write(one[:]); err != nil {
		server.Close()
		return nil, nil, fmt.Errorf("write the first byte: %w", err)
	}
	a := <-accept
	if a.err != nil {
		server.Close()
		return nil, nil, fmt.Errorf("accept: %w", a.err)
	}
	if _, err := io.ReadFull(a.c, one[:]); err != nil {
		server.Close()
		a.c.Close()
		return nil, nil, fmt.Errorf("read the first byte: %w", err)
	}
	return server, a.c, nil
}

// mustOpen is open for streams that are closed when b is done.
func mustOpen(b *testing.B, s *Session) (server, client net.Conn) {
	b.Helper()
	server, client, err := open(s)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		server.Close()
		client.Close()
	})
	return server, client
}
