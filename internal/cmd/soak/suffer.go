package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/backdial/backdial/internal/test/workload"
)

// suffer makes networks fail, and servers come and go, for the duration of the soak.
func (s *soaking) suffer(ctx context.Context, out io.Writer) {
	ctx, cancel := context.WithTimeout(ctx, s.duration)
	defer cancel()
	var all sync.WaitGroup
	for _, p := range s.places {
		all.Go(func() { p.suffer(ctx, s.options) })
	}
	if s.uptime > 0 {
		all.Go(func() { s.replaceServers(ctx) })
	}
	deadline, _ := ctx.Deadline()
	for i := 0; wait(ctx, time.Second); i++ {
		if i%samplePeriod == 0 {
			s.peak = s.peak.most(s.sample())
			s.lookForHangs(out)
		}
		s.progress.show("%v left, %d sessions, %d exchanges, %d failed, %d goroutines, %s",
			time.Until(deadline).Round(time.Second), s.sessions.Load(), s.talked.Load(), s.failed.Load(),
			s.peak.goroutines, mebibytes(s.peak.heap))
	}
	all.Wait()
}

// lookForHangs writes the stacks of all goroutines if a call takes too long: once, while
// the call still blocks.
func (s *soaking) lookForHangs(out io.Writer) {
	for _, c := range s.clients {
		for _, longest := range []workload.Call{c.caller.Record().Longest, c.device.Record().Longest} {
			if longest.Took > s.bound() && !s.hung {
				s.hung = true
				fmt.Fprintf(out, "client %d, %s: %s takes %v\n", c.number, c.stack.name, longest.Name, longest.Took)
				pprof.Lookup("goroutine").WriteTo(out, 2)
			}
		}
	}
}

// samplePeriod is how many seconds pass between two samples: each stops the process to
// collect garbage.
const samplePeriod = 10

// replaceServers starts the next server at random times, until ctx ends.
func (s *soaking) replaceServers(ctx context.Context) {
	chance := rand.New(rand.NewPCG(s.seed, 1<<32))
	for wait(ctx, between(chance, 0, 2*s.uptime)) {
		if chance.Float64() >= s.crashes {
			s.shut++
			s.disturbAll("deploy")
			if err := s.deploy(); err != nil {
				s.wrong = append(s.wrong, err)
			}
			continue
		}
		s.crashed++
		s.site.crash()
		wait(ctx, between(chance, 0, 2*time.Second))
		if err := s.site.restart(); err != nil {
			s.wrong = append(s.wrong, err)
			return
		}
		s.disturbAll("crash")
	}
}

func (s *soaking) disturbAll(cause string) {
	for _, c := range s.clients {
		c.disturb(cause)
	}
}
