package harness

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/backdial/backdial/internal/test/leak"
)

// ScaleSessions opens 1 to 10,000 sessions, and measures streams and pings on random
// ones, and what the server needs for each.
func ScaleSessions(b *testing.B, subjects []Apart) {
	scale(b, "sessions", subjects, func(b *testing.B, a Apart, n int) {
		w := newWorld(b, a)
		before := MeasureFootprint()
		servers := w.connect(n)
		after := MeasureFootprint()

		// Pings need streams; a few are enough.
		var streams []net.Conn
		for range min(n, 100) {
			streams = append(streams, w.dial(servers[rand.IntN(n)]))
		}
		w.measure(servers, streams)
		after.Report(b, before, n, "session")
	})
}

// ScaleStreams opens 1 to 10,000 streams in a session, and measures pings on random ones,
// further streams, and what the server needs for each.
func ScaleStreams(b *testing.B, subjects []Apart) {
	scale(b, "streams", subjects, func(b *testing.B, a Apart, n int) {
		w := newWorld(b, a)
		servers := w.connect(1)
		before := MeasureFootprint()
		streams := make([]net.Conn, n)
		for i := range streams {
			streams[i] = w.dial(servers[0])
		}
		after := MeasureFootprint()
		w.measure(servers, streams)
		after.Report(b, before, n, "stream")
	})
}

// scale runs a benchmark for all sizes and subjects.
func scale(b *testing.B, what string, subjects []Apart, run func(b *testing.B, a Apart, n int)) {
	for _, n := range []int{1, 10, 100, 1000, 10_000} {
		if n > UnlessShort(10_000, 100) {
			break
		}
		b.Run(fmt.Sprintf("%s=%d", what, n), func(b *testing.B) {
			for _, a := range subjects {
				b.Run(a.Name, func(b *testing.B) {
					leak.Check(b)
					run(b, a, n)
					b.ReportMetric(0, "ns/op") // ns/op means nothing here
				})
			}
		})
	}
}

// A world is a server with clients in another process.
type world struct {
	b      *testing.B
	accept func() (*Server, error)
	summon func(clients int) error
}

func newWorld(b *testing.B, a Apart) *world {
	b.Helper()
	addr, accept := a.Listen(near{b})
	return &world{b, accept, summon(b, a, addr)}
}

// connect makes n new sessions, and returns the server's ends.
func (w *world) connect(n int) []*Server {
	w.b.Helper()
	connected := make(chan error, 1)
	go func() { connected <- w.summon(n) }()
	accepted := make(chan error, 1)
	servers := make([]*Server, n)
	go func() {
		for i := range servers {
			var err error
			if servers[i], err = w.accept(); err != nil {
				accepted <- fmt.Errorf("accept client %d of %d: %w", i+1, n, err)
				return
			}
		}
		accepted <- nil
	}()
	for range 2 {
		var err error
		select { // if one fails, the other would wait forever
		case err = <-connected:
		case err = <-accepted:
		}
		if err != nil {
			w.b.Fatal(err)
		}
	}
	for _, s := range servers {
		w.b.Cleanup(s.Close)
	}
	return servers
}

// dial opens a stream that has carried a byte to and fro.
func (w *world) dial(s *Server) net.Conn {
	w.b.Helper()
	c, err := s.Dial()
	if err != nil {
		w.b.Fatalf("dial: %v", err)
	}
	w.b.Cleanup(func() { c.Close() })
	if err := Ask(c, make([]byte, 1)); err != nil {
		w.b.Fatal(err)
	}
	return c
}

// measure alternates between opening streams on random servers and pings on random
// streams.
func (w *world) measure(servers []*Server, streams []net.Conn) {
	w.b.Helper()
	const samples = 100 // in each iteration, so that one is enough
	message := make([]byte, 64)
	var setup, ping Latency
	for w.b.Loop() {
		for range samples {
			s, c := servers[rand.IntN(len(servers))], streams[rand.IntN(len(streams))]
			setup.Time(func() {
				if err := dialAndAsk(s.Dial); err != nil {
					w.b.Fatal(err)
				}
			})
			ping.Time(func() {
				if err := Ask(c, message); err != nil {
					w.b.Fatal(err)
				}
			})
		}
	}
	w.b.ReportMetric(float64(setup.Percentile(50)), "setup-p50-ns")
	w.b.ReportMetric(float64(ping.Percentile(50)), "ping-p50-ns")
}
