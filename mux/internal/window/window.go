// Package window sizes the windows of a session: how far a peer may send ahead of the
// reader.
//
// At most one window of a stream arrives per round trip, so on a long path the window
// bounds throughput. A window larger than the path needs is harmful too: it fills the
// queues before the bottleneck, in which all other streams of the session wait. So a
// window follows its reader. It grows while the reader reads more than half a window per
// round trip: that is only possible if most of the time the reader waits for the peer,
// and the peer for credit. When the reader or the bottleneck sets the pace, the window
// has reached twice the product of bandwidth and delay, and stays.
//
// On a path of 100 MB/s with a round trip of 100 ms, a window has to grow from 256 KiB to 10
// MB. If it doubled only every other round trip, that would take longer than most transfers.
// So a window that the peer uses up within a round trip grows at once, up to fourfold, if the
// pace at which it arrived says so.
package window

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/mux"
)

// Worthwhile is the shortest round trip at which windows grow. Below it the default
// carries 2 Gbit/s.
const Worthwhile = time.Millisecond

// near is the round trip below which a peer has sent less than half a window before it
// hears of the other half, at a few Gbit/s.
const near = 200 * time.Microsecond

// Worth is how much of a window must be free to be worth a frame. The peer should get it
// while it still has something to do, and sooner the longer the path is. But each frame
// wakes the peer and those of its writers that wait for it, who then send only as much.
func Worth(size uint64, roundTrip time.Duration) uint64 {
	switch {
	case roundTrip >= Worthwhile:
		return size / 8
	case roundTrip >= near:
		return size / 4
	}
	return size / 2
}

// A Window is how far the peer may send ahead of the reader. Callers of its methods, and
// of a [Pool]'s methods with it, hold the lock that guards it.
type Window struct {
	Size     uint64
	extended time.Duration // when it was last extended, since the pool began
	since    time.Duration // when measuring the reader began
	from     uint64        // bytes read by then
	most     uint64        // most of the window at that time; 0 if the reader had paused
}

// extend notes that w is extended, when consumed bytes have been read in total.
func (w *Window) extend(now time.Duration, consumed uint64) {
	if w.extended == never { // a reader that begins has not paused
		w.since, w.from = now, consumed
		w.mark()
	}
	w.extended = now
}

// want is the size that the window should have after consumed bytes have been read in
// total: what is read in two round trips. It is known once a round trip has passed since the
// last measurement; or earlier, if the peer has used up most of the window by then, and the
// reader did not pause before that: the pace at which a window arrives is the path's.
func (w *Window) want(consumed uint64, roundTrip time.Duration) uint64 {
	took, read := w.extended-w.since, consumed-w.from
	want := uint64(2 * float64(read) / max(took, 1).Seconds() * roundTrip.Seconds())
	switch {
	case took >= roundTrip:
		w.since, w.from, w.most = w.extended, consumed, 0
		if took < roundTrip*3/2 {
			w.mark()
		}
		return want
	case w.most > 0 && read >= w.most:
		w.most = 0 // once in a round trip
		return min(want, 4*w.Size)
	}
	return 0
}

// mark notes what the peer can send until it hears of more: nearly all of the window, because
// it hears of an eighth at a time.
func (w *Window) mark() { w.most = w.Size / 8 * 5 }

// A Pool is the windows of a session and the memory behind them.
type Pool struct {
	// Held is how many bytes of memory hold unread data.
	Held atomic.Int64

	grown  atomic.Int64 // how much all windows have grown, in bytes
	memory int64        // for unread data
	least  uint64       // of a window
	most   uint64
	began  time.Time

	mu        sync.Mutex
	reclaimed time.Duration // when idle windows were last looked for
}

// Init makes p the pool of a session with this config, which has so much memory for unread
// data before the peer waits.
func (p *Pool) Init(c *mux.Config, memory int64) {
	p.memory, p.least, p.most = memory, uint64(c.Window), uint64(c.MaxWindow)
	p.began = time.Now()
}

// lately is how long a window counts as used after it was extended.
const lately = time.Second

// never is earlier than any time.
const never = -time.Hour

// New returns the window of a new stream.
func (p *Pool) New() Window { return Window{Size: p.least, extended: never} }

// IsWorth reports whether so many bytes of w are worth a frame: as many as [Worth] says, or a
// quarter of the window if the peer has not heard for a while that somebody reads.
func (p *Pool) IsWorth(w *Window, unextended uint64, roundTrip time.Duration) bool {
	return unextended >= Worth(w.Size, roundTrip) ||
		unextended >= w.Size/4 && time.Since(p.began)-w.extended > lately
}

// Grown is how much all windows have grown, in bytes.
func (p *Pool) Grown() int64 { return p.grown.Load() }

// Extend notes that the peer is told what has been read of w, consumed bytes in total. It
// enlarges w if the reader waits for that, and reports whether it did. If there is no
// room, it calls reclaim, which must call [Pool.Reclaim] with all other windows.
func (p *Pool) Extend(w *Window, consumed uint64, roundTrip time.Duration, reclaim func()) (grown bool) {
	w.extend(time.Since(p.began), consumed)
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

// Follow is Extend for a window that takes no memory and has the maximum most.
func (p *Pool) Follow(w *Window, consumed uint64, roundTrip time.Duration, most uint64) {
	w.extend(time.Since(p.began), consumed)
	if roundTrip >= Worthwhile && w.Size < most {
		w.Size = max(w.Size, min(w.want(consumed, roundTrip), most))
	}
}

// Shrink gives back what w has grown.
func (p *Pool) Shrink(w *Window) {
	p.grown.Add(int64(p.least) - int64(w.Size))
	w.Size = p.least
}

// take returns by how much w may grow when it asks for more. All windows together grow by
// at most half of the memory that is free, so that streams that stall later do
// not at once cause others to be reset.
func (p *Pool) take(w *Window, more int64, reclaim func()) int64 {
	room := func() int64 { return (p.memory-p.Held.Load())/2 - p.grown.Load() }
	if room() < more && p.mayReclaim(w.extended) {
		reclaim()
	}
	more = max(min(more, room()), 0)
	p.grown.Add(more)
	return more
}

// mayReclaim reports whether it is time to look at all windows. There is no point in
// looking more often than windows can become idle.
func (p *Pool) mayReclaim(now time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now-p.reclaimed <= lately {
		return false
	}
	p.reclaimed = now
	return true
}

// Reclaim shrinks w to its original size if it was not read for a while. Its peer may
// still use all of it: what it holds counts as its own again only if it grows again.
func (p *Pool) Reclaim(w *Window) {
	if time.Since(p.began)-w.extended > lately {
		p.Shrink(w)
	}
}
