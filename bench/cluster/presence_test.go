package cluster_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/bench/harness"
	"github.com/backdial/backdial/cluster"
)

// presences announces clients as fast as it can, measures their memory, and then stops a
// replica's engine, and later all engines, which come back empty.
func presences(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 300_000} {
		if n > harness.UnlessShort(300_000, 10_000) {
			break
		}
		b.Run(fmt.Sprintf("clients=%d/case=three replicas", n), func(b *testing.B) {
			backdialtest.CheckLeaks(b)
			presence(b, n)             // once, whatever b.N is
			b.ReportMetric(0, "ns/op") // it means nothing here
		})
	}
}

func presence(b *testing.B, n int) {
	registries := harness.MeasureFootprint() // before there are any
	p := newPresent(b, n)
	empty := harness.MeasureFootprint()
	began := time.Now()
	p.attach()
	p.await("all clients", n, p.engines[:])
	b.ReportMetric(float64(n)/time.Since(began).Seconds(), "attaches/s")
	full := harness.MeasureFootprint()

	began = time.Now()
	last := nodes - 1
	p.engines[last].stop()
	p.await("the clients of a replica without an engine are gone", n-n/nodes, p.engines[:last])
	b.ReportMetric(float64(time.Since(began)), "gone-ns")

	for _, e := range p.engines {
		e.stop()
	}
	rest := harness.MeasureFootprint()
	began = time.Now()
	p.start()
	p.await("all clients once more", n, p.engines[:])
	p.awaitRegistries()
	b.ReportMetric(float64(time.Since(began)), "again-ns")
	for i := range 1000 {
		if err := p.locate(p.id(i * n / 1000)); err != nil {
			b.Error("once more:", err)
		}
	}
	p.close()

	each := func(bytes int64) float64 { return float64(bytes) / float64(n) }
	registry := each(rest.Memory - registries.Memory)
	b.ReportMetric(each(full.Memory-empty.Memory), "B/client")
	b.ReportMetric(registry, "B/client-registry")
	b.ReportMetric((each(full.Memory-empty.Memory)-registry)/nodes, "B/client-engine")
}

// lookups looks for clients of another replica, and for one that no replica has.
func lookups(b *testing.B) {
	n := harness.UnlessShort(100_000, 10_000)
	b.Run(fmt.Sprintf("clients=%d", n), func(b *testing.B) {
		backdialtest.CheckLeaks(b)
		p := newPresent(b, n)
		p.attach()
		p.await("all clients", n, p.engines[:])
		at := 0
		b.Run("case=hit", func(b *testing.B) {
			p.lookUp(b, func() error {
				at = (at + 7919) % n
				return p.locate(p.id(at))
			})
		})
		b.Run("case=miss", func(b *testing.B) {
			p.lookUp(b, func() error {
				if err := p.locate("nobody"); !errors.Is(err, cluster.ErrNotConnected) {
					return fmt.Errorf("a client that nobody has: %v", err)
				}
				return nil
			})
		})
		b.Run("case=hit, 64 at once", p.lookUpAtOnce)
	})
}

func (p *present) lookUp(b *testing.B, look func() error) {
	var l harness.Latency
	for b.Loop() {
		l.Time(func() {
			if err := look(); err != nil {
				b.Fatal(err)
			}
		})
	}
	l.Report(b)
}

func (p *present) lookUpAtOnce(b *testing.B) {
	var next atomic.Int64
	var looking sync.WaitGroup
	for range 64 {
		looking.Go(func() {
			for at := next.Add(1); at <= int64(b.N); at = next.Add(1) {
				if err := p.locate(p.id(int(at) * 7919 % p.n)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	looking.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lookups/s")
}
