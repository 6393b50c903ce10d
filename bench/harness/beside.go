package harness

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// SmallWriters has 1,000 streams of a session that carry 100 bytes a second each, to and
// fro, as sensors and chats do.
func SmallWriters(b *testing.B, subjects []Subject) {
	const size, perSecond = 100, 1 // of each stream
	streams := UnlessShort(1000, 100)
	each(b, subjects, func(b *testing.B, s Subject) {
		var ends sync.WaitGroup
		b.Cleanup(ends.Wait) // once the streams are closed
		made := s.start(b)
		took := make([]Latency, streams)
		turns := make([]chan struct{}, streams)
		var all sync.WaitGroup
		for i := range streams {
			server, client := mustOpen(b, made)
			ends.Go(func() { echo(client) })
			turn := make(chan struct{}, 1000)
			turns[i] = turn
			all.Go(func() {
				message := make([]byte, size)
				for range turn {
					took[i].Time(func() {
						if err := Ask(server, message); err != nil {
							b.Error(err)
						}
					})
				}
			})
		}
		gap := time.Second / time.Duration(streams*perSecond)
		b.ResetTimer()
		before := processorTime()
		began := time.Now()
		for i := range b.N {
			time.Sleep(time.Until(began.Add(time.Duration(i) * gap)))
			turns[i%streams] <- struct{}{}
		}
		for _, turn := range turns {
			close(turn)
		}
		all.Wait()
		b.StopTimer()
		var l Latency
		for _, t := range took {
			l.took = append(l.took, t.took...)
		}
		l.Report(b)
		if used := processorTime() - before; used > 0 {
			b.ReportMetric(float64(used)/float64(b.N), "cpu-ns/message")
		}
		b.ReportMetric(0, "ns/op") // it is the pace
	})
}

// BulkAndPings has 100 streams of a session ping at the same time, beside one that
// carries as much as it can, from the server to the client. Neither should starve the
// other.
func BulkAndPings(b *testing.B, subjects []Subject) {
	const pinging = 100
	each(b, subjects, func(b *testing.B, s Subject) {
		var ends sync.WaitGroup
		b.Cleanup(ends.Wait) // once the streams are closed
		made := s.start(b)
		askers := make([]net.Conn, pinging)
		for i := range askers {
			var client net.Conn
			askers[i], client = mustOpen(b, made)
			ends.Go(func() { echo(client) })
		}
		stop, arrived := saturate(b, made)
		defer stop()
		took := make([]Latency, pinging)
		var left atomic.Int64
		left.Store(int64(max(b.N, pinging)))
		b.ResetTimer()
		before := arrived()
		var all sync.WaitGroup
		for i, c := range askers {
			all.Go(func() {
				message := make([]byte, 64)
				for left.Add(-1) >= 0 {
					took[i].Time(func() {
						if err := Ask(c, message); err != nil {
							b.Error(err)
							left.Store(0)
						}
					})
				}
			})
		}
		all.Wait()
		b.StopTimer()
		var l Latency
		for _, t := range took {
			l.took = append(l.took, t.took...)
		}
		l.Report(b)
		b.ReportMetric(float64(len(l.took))/b.Elapsed().Seconds(), "pings/s")
		b.ReportMetric(float64(arrived()-before)/b.Elapsed().Seconds()/1e6, "bulk-MB/s")
		b.ReportMetric(0, "ns/op") // of 100 at a time
	})
}

// SlowReaders has 32 streams of a session whose clients read less than the server writes,
// steadily, while another stream pings. What is written waits in buffers and windows;
// none of it may keep the pings waiting, or a reader that is as slow as the others.
func SlowReaders(b *testing.B, subjects []Subject) {
	const (
		streams = 32
		piece   = 64 << 10
		rest    = 150 * time.Millisecond // after each piece
	)
	length := 2 * time.Second
	if testing.Short() {
		length = 2 * rest
	}
	each(b, subjects, func(b *testing.B, s Subject) {
		var pings Latency
		var held, share float64
		for b.Loop() {
			made := s.start(b)
			asker, echoer := mustOpen(b, made)
			var busy sync.WaitGroup
			busy.Go(func() { echo(echoer) })
			before := MeasureFootprint()
			read := make([]atomic.Int64, streams)
			var all []net.Conn
			var over atomic.Bool
			for i := range streams {
				server, client := mustOpen(b, made)
				all = append(all, server, client)
				busy.Go(func() {
					for buf := make([]byte, chunk); ; {
						if _, err := server.Write(buf); err != nil {
							if !over.Load() {
								b.Errorf("write to a slow reader: %v", err)
							}
							return
						}
					}
				})
				busy.Go(func() {
					for buf := make([]byte, piece); !over.Load(); time.Sleep(rest) {
						if _, err := io.ReadFull(client, buf); err != nil {
							if !over.Load() {
								b.Errorf("read slowly: %v", err)
							}
							return
						}
						read[i].Add(piece)
					}
				})
			}
			message := make([]byte, 64)
			for end := time.Now().Add(length); time.Now().Before(end); time.Sleep(time.Millisecond) {
				pings.Time(func() {
					if err := Ask(asker, message); err != nil {
						b.Fatal(err)
					}
				})
			}
			held += float64(MeasureFootprint().Memory - before.Memory)
			least, most := read[0].Load(), int64(1)
			for i := range read {
				least, most = min(least, read[i].Load()), max(most, read[i].Load())
			}
			share += float64(least) / float64(most)
			over.Store(true)
			made.Close()
			for _, c := range append(all, asker, echoer) {
				c.Close()
			}
			busy.Wait()
		}
		pings.Report(b)
		b.ReportMetric(held/float64(b.N), "held-B")
		b.ReportMetric(share/float64(b.N), "share")
		b.ReportMetric(0, "ns/op") // of which there is nothing to say
	})
}
