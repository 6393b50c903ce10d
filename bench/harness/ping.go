package harness

import (
	"sync"
	"sync/atomic"
	"testing"
)

// Ping sends 64 bytes to and fro on an open stream.
func Ping(b *testing.B, subjects []Subject) {
	each(b, subjects, func(b *testing.B, s Subject) { ping(b, s.start(b)) })
}

// PingBesideBulk is Ping while another stream of the session carries as much as it can.
func PingBesideBulk(b *testing.B, subjects []Subject) {
	each(b, subjects, func(b *testing.B, s Subject) {
		made := s.start(b)
		stop, _ := saturate(b, made)
		defer stop()
		ping(b, made)
	})
}

func ping(b *testing.B, s *Session) {
	b.Helper()
	var echoing sync.WaitGroup
	b.Cleanup(echoing.Wait) // the stream is closed by then
	c, client := mustOpen(b, s)
	echoing.Go(func() { echo(client) })
	message := make([]byte, 64)
	var l Latency
	for b.Loop() {
		l.Time(func() {
			if err := Ask(c, message); err != nil {
				b.Fatal(err)
			}
		})
	}
	l.Report(b)
}

// saturate fills a stream of the session, from the server to the client, until stop is
// called. It returns when more has arrived than buffers and windows hold; arrived returns how
// much.
func saturate(b *testing.B, s *Session) (stop func(), arrived func() int64) {
	b.Helper()
	const full = 4 << 20
	var draining sync.WaitGroup
	b.Cleanup(draining.Wait) // the stream is closed by then
	server, client := mustOpen(b, s)

	var read atomic.Int64
	saturated := make(chan struct{})
	draining.Go(func() {
		enough := sync.OnceFunc(func() { close(saturated) })
		defer enough()
		for buf := make([]byte, chunk); ; {
			n, err := client.Read(buf)
			if err != nil {
				return
			}
			if read.Add(int64(n)) >= full {
				enough()
			}
		}
	})
	var stopped atomic.Bool
	var filling sync.WaitGroup
	filling.Go(func() {
		for buf := make([]byte, chunk); !stopped.Load(); {
			if _, err := server.Write(buf); err != nil {
				b.Errorf("fill a stream: %v", err)
				return
			}
		}
	})
	<-saturated
	return func() {
		stopped.Store(true)
		filling.Wait()
	}, read.Load
}
