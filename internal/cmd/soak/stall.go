package main

import (
	"sync"
	"time"
)

// A watch measures how long the process stands still because the machine does something
// else.
type watch struct {
	stop    chan struct{}
	running sync.WaitGroup
	longest time.Duration // set by end
}

// heartbeat is how often a watch looks.
const heartbeat = 10 * time.Millisecond

func newWatch() *watch {
	w := &watch{stop: make(chan struct{})}
	w.running.Go(w.run)
	return w
}

func (w *watch) run() {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-tick.C:
			now := time.Now()
			w.longest = max(w.longest, now.Sub(last)-heartbeat)
			last = now
		case <-w.stop:
			return
		}
	}
}

// end returns the longest time without a heartbeat.
func (w *watch) end() time.Duration {
	close(w.stop)
	w.running.Wait()
	return w.longest
}
