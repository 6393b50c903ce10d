package bench

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// openAndAsk is the life of a short stream: the server dials, writes a byte,
// the client accepts and echoes it, the server reads it and closes.
func openAndAsk(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	var one [1]byte
	return ask(c, one[:], one[:])
}

// BenchmarkStreamSetup makes one stream after the other.
func BenchmarkStreamSetup(b *testing.B) {
	each(b, func(b *testing.B, s subject) {
		made := s.start(b)
		serve(made, echo)
		b.ReportAllocs()
		var l latency
		for b.Loop() {
			l.time(func() {
				if err := openAndAsk(made); err != nil {
					b.Fatal(err)
				}
			})
		}
		l.report(b)
	})
}

// BenchmarkStreamSetupAtOnce has 64 goroutines make streams.
func BenchmarkStreamSetupAtOnce(b *testing.B) {
	const openers = 64
	each(b, func(b *testing.B, s subject) {
		made := s.start(b)
		serve(made, echo)
		var left atomic.Int64
		left.Store(int64(b.N))
		b.ResetTimer()
		var all sync.WaitGroup
		for range openers {
			all.Go(func() {
				for left.Add(-1) >= 0 {
					if err := openAndAsk(made); err != nil {
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

// BenchmarkPing sends 64 bytes to and fro on an open stream.
func BenchmarkPing(b *testing.B) {
	each(b, func(b *testing.B, s subject) {
		made := s.start(b)
		serve(made, echo)
		ping(b, dial(b, made))
	})
}

func ping(b *testing.B, c net.Conn) {
	b.Helper()
	message := make([]byte, 64)
	var l latency
	for b.Loop() {
		l.time(func() {
			if err := ask(c, message, message); err != nil {
				b.Fatal(err)
			}
		})
	}
	l.report(b)
}

// BenchmarkPingBesideBulk is BenchmarkPing while another stream of the session
// carries as much as it can.
func BenchmarkPingBesideBulk(b *testing.B) {
	each(b, func(b *testing.B, s subject) {
		made := s.start(b)
		serve(made, func(c net.Conn) {
			var kind [1]byte
			io.ReadFull(c, kind[:])
			if kind[0] == 'e' {
				echo(c)
				return
			}
			buf := make([]byte, chunk)
			for {
				if _, err := c.Read(buf); err != nil {
					return
				}
			}
		})
		c, bulk := dial(b, made), dial(b, made)
		c.Write([]byte("e"))
		bulk.Write([]byte("b"))
		stop := make(chan struct{})
		go func() {
			defer close(stop)
			for buf := make([]byte, chunk); ; {
				if _, err := bulk.Write(buf); err != nil {
					return
				}
			}
		}()
		ping(b, c)
		b.StopTimer()
		bulk.SetDeadline(time.Now())
		bulk.Close()
		<-stop
	})
}

// chunk is how much is written at a time.
const chunk = 64 << 10

// BenchmarkThroughput carries bytes one way, from the server to the client or
// back, on one stream or eight.
func BenchmarkThroughput(b *testing.B) {
	for _, to := range []string{"client", "server"} {
		for _, streams := range []int{1, 8} {
			b.Run(fmt.Sprintf("to=%s/streams=%d", to, streams), func(b *testing.B) {
				each(b, func(b *testing.B, s subject) { throughput(b, s, to, streams) })
			})
		}
	}
}

func throughput(b *testing.B, s subject, to string, streams int) {
	made := s.start(b)
	accepted := make(chan net.Conn)
	go func() {
		for {
			c, err := made.accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	var left atomic.Int64
	left.Store(int64(b.N))
	b.SetBytes(chunk)
	var all sync.WaitGroup
	var flows [][2]net.Conn
	for range streams {
		dialled := dial(b, made)
		var one [1]byte
		dialled.Write(one[:]) // which a baseline needs to be accepted
		client := <-accepted
		b.Cleanup(func() { client.Close() })
		io.ReadFull(client, one[:])
		flow := [2]net.Conn{dialled, client}
		if to == "server" {
			flow = [2]net.Conn{client, dialled}
		}
		flows = append(flows, flow)
	}
	b.ResetTimer()
	used := processorTime(b)
	for _, flow := range flows {
		from, to := flow[0], flow[1]
		sent := make(chan int64, 1)
		all.Go(func() {
			var n int64
			for buf := make([]byte, chunk); left.Add(-1) >= 0; n += chunk {
				if _, err := from.Write(buf); err != nil {
					b.Error(err)
					break
				}
			}
			sent <- n
			from.Write(make([]byte, 1)) // wakes the reader to see that it has all
		})
		all.Go(func() {
			var n, want int64 = 0, -1
			for buf := make([]byte, chunk); want < 0 || n <= want; {
				k, err := to.Read(buf)
				n += int64(k)
				if err != nil {
					b.Error(err)
					return
				}
				select {
				case want = <-sent:
				default:
				}
			}
		})
	}
	all.Wait()
	gigabytes := float64(b.N) * chunk / 1e9
	b.ReportMetric((processorTime(b)-used).Seconds()/gigabytes, "cpu-s/GB")
}
