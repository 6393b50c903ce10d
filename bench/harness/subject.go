// Package harness measures libraries with which a server dials its clients: this one, its
// parts, and its peers. Each function is a benchmark with a result for every subject,
// named in benchstat's form, such as BenchmarkStreamSetup/carrier=ws/mux=yamux.
//
// All ends run in one process, on the loopback interface, so the processor time is that
// of both.
package harness

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/backdial/backdial/internal/test/leak"
)

// A Subject is a library that is measured.
type Subject struct {
	Name  string // such as "carrier=ws/mux=yamux"
	Serve Serve

	// Skip names the benchmarks that the subject cannot take part in, such as
	// "BenchmarkIdleStreams", and says why.
	Skip map[string]string

	// Leaves has functions whose goroutines outlive a session, such as "lib.sleep".
	Leaves []string
}

// Serve starts a server, which runs until t is done. connect makes a session with it. If calls
// are concurrent, one may return the server's end of another's session, so they are good for
// counting only.
type Serve func(t TB) (connect func() (*Session, error))

// A Session is a client that is connected to a server.
type Session struct {
	// Dial opens a stream, on the server. Calls may be concurrent.
	Dial func() (net.Conn, error)

	// Accept accepts a stream, on the client. Some subjects announce a stream only with
	// its first byte.
	Accept func() (net.Conn, error)

	// Close closes both ends, and wakes Accept. It may be repeated.
	Close func()

	// Transport returns what the server sends HTTP requests with, if the subject has
	// its own; nil stands for an http.Transport over Dial.
	Transport func() Transport
}

// A Transport is an [http.RoundTripper] that keeps connections.
type Transport interface {
	http.RoundTripper
	CloseIdleConnections()
}

// each runs a benchmark for every subject, which must leave nothing behind.
func each(b *testing.B, subjects []Subject, run func(*testing.B, Subject)) {
	benchmark, _, _ := strings.Cut(b.Name(), "/")
	for _, s := range subjects {
		b.Run(s.Name, func(b *testing.B) {
			if why, ok := s.Skip[benchmark]; ok {
				b.Skip(why)
			}
			leak.Check(b, s.leaves()...)
			run(b, s)
		})
	}
}

func (s Subject) leaves() (ignored []goleak.Option) {
	for _, function := range s.Leaves {
		ignored = append(ignored, goleak.IgnoreAnyFunction(function))
	}
	return ignored
}

// start makes a session, which is closed when b is done.
func (s Subject) start(b *testing.B) *Session {
	b.Helper()
	made, err := s.Serve(near{b})()
	if err != nil {
		b.Fatalf("connect: %v", err)
	}
	b.Cleanup(made.Close)
	return made
}

// startEcho makes a session whose client echoes each stream.
func (s Subject) startEcho(b *testing.B) *Session {
	b.Helper()
	var clients sync.WaitGroup
	b.Cleanup(clients.Wait) // the session is closed by then
	made := s.start(b)
	clients.Go(func() {
		for {
			c, err := made.Accept()
			if err != nil {
				if b.Context().Err() == nil {
					b.Errorf("accept: %v", err)
					made.Close() // so that the server does not wait for an answer
				}
				return
			}
			clients.Go(func() {
				defer c.Close()
				echo(c)
			})
		}
	})
	return made
}
