// Package window sizes the windows of a session: how much a peer may send before it
// is read.
//
// No more than a window of a stream arrives per round trip, so on a long path
// the window is what bounds throughput. One that is larger than the path needs
// is no good either: it fills the queues in front of the bottleneck, in which
// all other streams of the session wait too. So a window follows its reader: it
// grows while that reads more than half a window in a round trip, as it can only
// do if it waits for the peer most of the time, and the peer for credit. When the
// reader or the bottleneck sets the pace, the window has reached twice the
// product of bandwidth and delay, and stays.
package window

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/mux"
)

// Worthwhile is the shortest round trip for which windows grow. Up to that the
// default carries 2 Gbit/s.
const Worthwhile = time.Millisecond

// Worth is how much of a window has to be free to be worth a frame: a quarter, so that
// the peer hears of it while it still has something to do. On a long path that takes
// longer.
func Worth(size uint64, roundTrip time.Duration) uint64 {
	if roundTrip >= Worthwhile {
		return size / 8
	}
	return size / 4
}

// A Window is how much the peer may send before it is read. Whoever calls its methods,
// or those of a [Pool] with it, holds the lock that guards it.
type Window struct {
	Size     uint64
	extended time.Duration // since the pool began, for the last time
	since    time.Duration // when measuring the reader began
	from     uint64        // bytes that it had read then
}

// want is the size that the window should have, after consumed bytes have been read in
// all: what is read in two round trips. That is known only if a round trip has passed
// since it was measured before.
func (w *Window) want(consumed uint64, roundTrip time.Duration) uint64 {
	took, read := w.extended-w.since, consumed-w.from
	if took < roundTrip {
		return 0
	}
	w.since, w.from = w.extended, consumed
	return uint64(2 * float64(read) / took.Seconds() * roundTrip.Seconds())
}

// A Pool is the windows of a session, and the memory behind them.
type Pool struct {
	// Held is how many bytes of memory hold what was not read.
	Held atomic.Int64

	grown  atomic.Int64 // bytes that all windows have grown
	buffer int64        // for what was not read
	least  uint64       // of a window
	most   uint64
	began  time.Time

	mu        sync.Mutex
	reclaimed time.Duration // when idle windows were looked for
}

// Init makes p the pool of a session with this config.
func (p *Pool) Init(c *mux.Config) {
	p.buffer, p.least, p.most = int64(c.ReceiveBuffer), uint64(c.Window), uint64(c.MaxWindow)
	p.began = time.Now()
}

// lately is how long a window counts as used after it was extended.
const lately = time.Second

// never is before any time.
const never = -time.Hour

// New returns the window of a new stream.
func (p *Pool) New() Window { return Window{Size: p.least, extended: never, since: never} }

// Extended is when w was extended for the last time, if it ever was.
func (p *Pool) Extended(w *Window) (at time.Time, ever bool) {
	return p.began.Add(w.extended), w.extended != never
}

// Grown is how many bytes all windows have grown.
func (p *Pool) Grown() int64 { return p.grown.Load() }

// Extend notes that the peer is told of what has been read of w, which is consumed bytes
// in all. It enlarges w if that is what the reader waits for, and reports whether it
// did. If there is no room it calls reclaim, which is to call [Pool.Reclaim] with all
// other windows.
func (p *Pool) Extend(w *Window, consumed uint64, roundTrip time.Duration, reclaim func()) (grown bool) {
	w.extended = time.Since(p.began)
	if roundTrip < Worthwhile || w.Size >= p.most {
		return false
	}
	want := min(w.want(consumed, roundTrip), p.most)
	if want <= w.Size {
		return false
	}
	more := p.take(w, int64(want-w.Size), reclaim)
	w.Size += uint64(more)
	return more > 0
}

// Follow is Extend for a window that takes no memory, and is most at most.
func (p *Pool) Follow(w *Window, consumed uint64, roundTrip time.Duration, most uint64) {
	w.extended = time.Since(p.began)
	if roundTrip >= Worthwhile && w.Size < most {
		w.Size = max(w.Size, min(w.want(consumed, roundTrip), most))
	}
}

// Shrink gives back what w has grown.
func (p *Pool) Shrink(w *Window) {
	p.grown.Add(int64(p.least) - int64(w.Size))
	w.Size = p.least
}

// Free is how many bytes there is memory for.
func (p *Pool) Free() uint64 { return uint64(max(p.buffer-p.Held.Load(), 0)) }

// take returns by how much w may grow, as more is asked for. All windows together grow
// by no more than half of what is free in the receive buffer, so that streams which
// stall after that have no other reset at once.
func (p *Pool) take(w *Window, more int64, reclaim func()) int64 {
	room := func() int64 { return (p.buffer-p.Held.Load())/2 - p.grown.Load() }
	if room() < more && p.mayReclaim(w.extended) {
		reclaim()
	}
	more = max(min(more, room()), 0)
	p.grown.Add(more)
	return more
}

// mayReclaim reports whether it is time to look at all windows: there is no point in it
// more often than they could come to rest.
func (p *Pool) mayReclaim(now time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now-p.reclaimed <= lately {
		return false
	}
	p.reclaimed = now
	return true
}

// Reclaim takes from w, if it was not read for a while, what it has grown. Its peer may
// use it all the same: it counts as its own again only if it grows again.
func (p *Pool) Reclaim(w *Window) {
	if time.Since(p.began)-w.extended > lately {
		p.Shrink(w)
	}
}
