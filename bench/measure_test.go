package bench

import (
	"io"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"
)

// A latency collects how long something took each time.
type latency struct{ took []time.Duration }

func (l *latency) time(f func()) {
	began := time.Now()
	f()
	l.took = append(l.took, time.Since(began))
}

// report reports the median and the 99th percentile, in nanoseconds.
func (l *latency) report(b *testing.B) {
	slices.Sort(l.took)
	b.ReportMetric(float64(l.percentile(50)), "p50-ns")
	b.ReportMetric(float64(l.percentile(99)), "p99-ns")
}

func (l *latency) percentile(p int) time.Duration {
	return l.took[(len(l.took)-1)*p/100]
}

// processorTime is what the process, and so both ends, have used.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// serve has handle called for each stream that a client accepts.
func serve(s *session, handle func(net.Conn)) {
	go func() {
		for {
			c, err := s.accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				handle(c)
			}()
		}
	}()
}

func echo(c net.Conn) { io.Copy(c, struct{ io.Reader }{c}) }

// dial opens a stream, which is closed when b is done.
func dial(b *testing.B, s *session) net.Conn {
	b.Helper()
	c, err := s.dial()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return c
}

// ask writes request to c, which echoes it.
func ask(c net.Conn, request, answer []byte) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	_, err := io.ReadFull(c, answer)
	return err
}
