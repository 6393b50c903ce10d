package harness

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// chunk is how much is written at a time.
const chunk = 64 << 10

// Throughput carries bytes one way, from the server to the client or back, on one stream,
// 8 or 64.
func Throughput(b *testing.B, subjects []Subject) {
	for _, to := range []string{"client", "server"} {
		for _, streams := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("to=%s/streams=%d", to, streams), func(b *testing.B) {
				each(b, subjects, func(b *testing.B, s Subject) { throughput(b, s, to, streams) })
			})
		}
	}
}

func throughput(b *testing.B, s Subject, to string, streams int) {
	var ends sync.WaitGroup
	b.Cleanup(ends.Wait) // the streams are closed by then
	made := s.start(b)
	type flow struct{ from, to net.Conn }
	var flows []flow
	for range streams {
		server, client := mustOpen(b, made)
		if to == "client" {
			flows = append(flows, flow{server, client})
		} else {
			flows = append(flows, flow{client, server})
		}
	}

	var unsent, unread atomic.Int64
	unsent.Store(int64(b.N))
	unread.Store(int64(b.N) * chunk)
	ended := make(chan error, 2*streams+1) // only the first counts
	b.SetBytes(chunk)
	b.ResetTimer()
	before := processorTime()
	for _, f := range flows {
		ends.Go(func() {
			for buf := make([]byte, chunk); unsent.Add(-1) >= 0; {
				if _, err := f.from.Write(buf); err != nil {
					ended <- fmt.Errorf("write: %w", err)
					return
				}
			}
		})
		ends.Go(func() {
			for buf := make([]byte, chunk); ; {
				n, err := f.to.Read(buf)
				if n > 0 && unread.Add(int64(-n)) == 0 {
					ended <- nil
				}
				if err != nil {
					ended <- fmt.Errorf("read: %w", err)
					return
				}
			}
		})
	}
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	if used := processorTime() - before; used > 0 {
		b.ReportMetric(used.Seconds()/(float64(b.N)*chunk/1e9), "cpu-s/GB")
	}
}
