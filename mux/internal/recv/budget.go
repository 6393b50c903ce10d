package recv

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/readbuf"
	"github.com/backdial/backdial/mux/internal/window"
)

// A Budget is the memory for what a session has received and nobody has read yet. It
// never exceeds [mux.Config.ReceiveBuffer]: when it is used up, the peer waits. Streams
// that nobody reads are then shed, so that the wait ends; see [gauge].
//
// A peer waits in one of two ways. In a protocol with credit for all streams together,
// the session grants no more than [Budget.Free] and reads on. In one without, the
// session's reader waits for memory, and with it everything that the peer sends. That may
// include credit that this end needs before it can read: applications that echo wait to
// write. So the reader waits when three quarters of the memory are used, and takes the
// rest once nobody has read for a moment.
type Budget struct {
	Windows window.Pool
	Role    Role // of the session's reader

	session Session
	waits   bool // the session's reader waits for memory
	name    string
	limit   int64       // of memory
	most    int64       // with more than that in use, the next piece does not fit
	usual   int64       // the same while readers go on
	stalled atomic.Bool // they do not go on
	blocked atomic.Bool // the peer waits for memory

	mu      sync.Mutex // guards below; no other lock is taken while it is held
	room    sync.Cond  // wakes makeRoom
	waiting bool       // the session's reader is in makeRoom
	closed  bool
	timer   *time.Timer     // looks at the streams while memory is tight; otherwise nil
	watch   *Watch[*Pushed] // non-nil while memory is tight
}

// A Session is what a budget needs of its session. Its methods are called without the
// budget's lock.
type Session interface {
	// Halves returns the receiving halves of all streams.
	Halves() []*Pushed

	// Shortest is the shortest round trip so far, or 0 if none is known.
	Shortest() time.Duration

	// Freed is called when there is memory again after [Budget.Block]. A half may be
	// locked; the session is not.
	Freed()

	// Waiting is called at intervals while the session's reader waits for memory and reads
	// nothing.
	Waiting()
}

// Init makes b the budget of a session with this config. name is the protocol's. If the
// protocol has no credit for all streams together, waits makes the session's reader wait.
func (b *Budget) Init(name string, c *mux.Config, session Session, waits bool) {
	b.name, b.limit, b.session, b.waits = name, int64(c.ReceiveBuffer), session, waits
	b.most = max(b.limit-readbuf.Largest, b.limit/2)
	free := b.granted()
	if b.usual = b.most; waits {
		b.usual = b.most / 4 * 3
		free = b.usual
	}
	b.room.L = &b.mu
	b.Windows.Init(c, free)
}

// Close ends b and wakes the session's reader.
func (b *Budget) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.room.Broadcast()
	if b.timer != nil {
		b.timer.Stop()
	}
}

// granted is how much memory may be promised to the peer. An eighth is reserved for buffers
// that are partly filled.
func (b *Budget) granted() int64 { return b.limit - b.limit/8 }

// Free is how much memory may still be promised to the peer. A session that holds nothing can
// always take a piece.
func (b *Budget) Free() uint64 {
	held := b.Windows.Held.Load()
	if held <= 0 {
		return uint64(max(b.granted(), readbuf.Largest))
	}
	return uint64(max(b.granted()-held, 0))
}

// Block notes that the peer may be waiting for memory. Freed is then called, once, when
// there is some.
func (b *Budget) Block() { b.blocked.Store(true) }

// add notes that so much more memory is in use.
func (b *Budget) add(memory int64) {
	held := b.Windows.Held.Add(memory)
	switch {
	case memory < 0 && held <= b.usual:
		b.stalled.Store(false)
		b.freed()
	case held > b.usual/2 && held-memory <= b.usual/2:
		b.look()
	}
}

// freed resumes a session that waits for memory.
func (b *Budget) freed() {
	if !b.blocked.Load() || !b.blocked.Swap(false) {
		return
	}
	b.session.Freed()
	b.wake()
}

// wake makes makeRoom return.
func (b *Budget) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.room.Broadcast()
}

// full reports whether the next piece does not fit.
func (b *Budget) full() bool {
	held := b.Windows.Held.Load()
	return held > b.most || held > b.usual && !b.stalled.Load()
}

// makeRoom returns when there may be memory again. The session's reader calls it when
// there is none, and waits. If it must not wait, it sheds the fullest streams: a peer
// that keeps to its credit gets there only with frames so small that they take far more
// memory than bytes. It returns false when the session has ended.
func (b *Budget) makeRoom() bool {
	if !b.waits {
		b.shed(b.session.Halves())
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.blocked.Store(true)
	if b.full() && !b.closed { // memory may have been freed before this waits
		b.waiting = true
		b.room.Wait()
		b.waiting = false
	}
	return !b.closed
}

// pressed reports whether almost no memory is left.
func (b *Budget) pressed() bool {
	if !b.waits {
		return b.Free() < uint64(max(b.limit/16, readbuf.Largest))
	}
	return b.Windows.Held.Load() > b.usual-b.usual/16
}

// look starts looking at the streams, until memory is not tight any more.
func (b *Budget) look() {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
	case b.timer == nil:
		b.watch = new(Watch[*Pushed]) // it knows nothing of any stream
		b.timer = time.AfterFunc(Interval, b.tick)
	}
}

// tick looks at all streams, and sheds the abandoned ones if others need the memory.
func (b *Budget) tick() {
	b.mu.Lock()
	waiting, closed := b.waiting, b.closed
	b.mu.Unlock()
	if closed {
		return
	}
	b.watch.Ready()
	if read := b.watch.Look(b.progress()); waiting {
		b.session.Waiting()
		if !read {
			b.stalled.Store(true)
			b.wake()
		}
	}
	if b.pressed() && b.blocked.Load() {
		b.shed(b.watch.Abandoned())
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timer = nil
	if !b.closed && b.tight() { // otherwise look starts again when it is
		b.timer = time.AfterFunc(Interval, b.tick)
	}
}

// progress returns the progress of all streams that can be read.
func (b *Budget) progress() map[*Pushed]Progress {
	all := make(map[*Pushed]Progress)
	for _, h := range b.session.Halves() {
		if p, reads := h.progress(); reads {
			all[h] = p
		}
	}
	return all
}

// progress returns how far h has been read. reads is false if nobody can read it any
// more.
func (h *Pushed) progress() (p Progress, reads bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Progress{h.ConsumedLocked(), h.buffer.Len()}, h.state != Discarding
}

// tight reports whether the memory in use may soon be too much.
func (b *Budget) tight() bool { return b.Windows.Held.Load() > b.usual/2 }

// shed gives up streams among these, the fullest first, until a quarter of the memory is
// free, so that looking at all of them pays.
func (b *Budget) shed(halves []*Pushed) {
	err := fmt.Errorf("%s: %w: nobody reads it, and the session's receive buffer of %d bytes is full",
		b.name, mux.ErrReset, b.limit)
	for _, h := range fullest(halves) {
		if b.Windows.Held.Load() <= b.usual/4*3 {
			return
		}
		h.owner.Abandon(err)
	}
}

// fullest returns the halves that hold something, the fullest first.
func fullest(halves []*Pushed) []*Pushed {
	holds := make(map[*Pushed]int)
	for _, h := range halves {
		h.mu.Lock()
		if memory := h.buffer.Memory(); memory > 0 {
			holds[h] = memory
		}
		h.mu.Unlock()
	}
	return slices.SortedFunc(maps.Keys(holds), func(a, b *Pushed) int { return cmp.Compare(holds[b], holds[a]) })
}
