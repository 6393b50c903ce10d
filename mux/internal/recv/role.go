package recv

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/internal/powers"
)

// A Role is the right to read a session's carrier. Its keeper is the session's reader, a
// goroutine. While a single stream is used to ask and to answer, waking that goroutine for
// each message, and then the Read that waits for it, would take longer than all the rest.
// So the keeper lends the role, and the next Read of any stream drives: it reads the
// carrier itself, also for all others.
//
//	      ┌──────┐   several messages were for     ┌──────┐   a Read waits    ┌────────┐
//	────► │ kept ├────────────────────────────────►│ lent ├──────────────────►│ driven │
//	      └──────┘   the only Read that waited     └──┬───┘                   └─┬────┬─┘
//	         ▲                                        │  ▲  it has its bytes,   │    │
//	         │ no Read came for a moment,             │  └──────────────────────┘    │
//	         │ or somebody needs the keeper           │     or need not wait         │
//	         └────────────────────────────────────────┴──────────────────────────────┘
//	                          other Reads wait, or a message is large, incomplete or special
//
// A Read that drives never waits in the middle of a message, so it can always stop at
// once: when it has its bytes, when its deadline passes, and when its stream is closed.
// What arrives while the role is lent waits for the next Read, or for the keeper, who is
// back within 4 ms. That happens seldom: each time makes it twice as long until the keeper
// lends the role again.
//
// The zero value is always kept.
type Role struct {
	conn    powers.PromptReader // nil if the keeper never lends the role
	session Driven

	lent    atomic.Bool  // state is lent
	waiting atomic.Int32 // calls that wait for whoever has the role

	numbers atomic.Uint32 // of the halves so far

	// For whoever has the role.
	fed  uint32 // the half whose Read, which waited, has got bytes since Lend; or 0
	last uint32 // the same before Lend
	lone int    // so many messages, one after the other, have been for one Read alone

	mu    sync.Mutex // guards below; no other lock is taken while it is held
	state roleState
	back  sync.Cond   // wakes the keeper
	over  bool        // the keeper does not lend the role any more
	turns uint        // how often the role was lent, or left by a Read
	seen  uint        // turns at the last look
	timer *time.Timer // looks whether the role lies idle; nil before the first use
	timed bool        // it is set
	price int         // how many messages must have been for a lone Read before the role is lent
}

// A Driven is a session whose role can be lent.
type Driven interface {
	// TakeArrived executes the frames of a message that has arrived whole. It waits for
	// nothing, and reports whether that was all. Otherwise the keeper goes on where it has
	// stopped.
	TakeArrived() bool
}

type roleState uint8

const (
	kept roleState = iota
	lent
	driven
)

const (
	// idle is how long the role may lie idle before the keeper takes it back, at least; at
	// most it is twice that.
	idle = 2 * time.Millisecond

	leastPrice = 8
	mostPrice  = 4096
)

// Init makes r the role of a session on conn. It is never lent if conn is nil.
func (r *Role) Init(conn powers.PromptReader, session Driven) {
	r.conn, r.session = conn, session
	r.back.L = &r.mu
	r.price = leastPrice
}

// setLocked is the only function that changes the state.
func (r *Role) setLocked(to roleState) {
	r.state = to
	r.lent.Store(to == lent)
	if to == kept {
		r.back.Signal()
	}
	if to != lent {
		return
	}
	if r.turns++; r.timed {
		return
	}
	r.timed, r.seen = true, r.turns
	if r.timer == nil {
		r.timer = time.AfterFunc(idle, r.look)
	} else {
		r.timer.Reset(idle)
	}
}

// look is the timer's function. The timer runs as long as the role changes hands, whoever
// has it: setting it for each message would wake a thread.
func (r *Role) look() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.turns != r.seen {
		r.seen = r.turns
		r.timer.Reset(idle)
		return
	}
	if r.timed = false; r.state == lent {
		r.disappointLocked()
		r.setLocked(kept)
	}
}

// disappointLocked makes the keeper lend the role less often: it was of no use.
func (r *Role) disappointLocked() { r.price = min(2*r.price, mostPrice) }

// Lend is called by the keeper between messages. It lends the role if that promises
// something, and then waits until it has it back. small says that the last message was.
func (r *Role) Lend(small bool) {
	fed, last := r.fed, r.last
	r.fed, r.last = 0, fed
	if fed == 0 || fed == several || fed != last || !small || r.waiting.Load() > 0 {
		r.lone = 0
		return
	}
	r.lone++
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lone < r.price {
		return
	}
	r.lone = 0
	r.lendLocked()
	for r.state != kept {
		r.back.Wait()
	}
}

// feed notes that half number gets bytes for which a Read waits.
func (r *Role) feed(number uint32) {
	if r.fed != 0 && r.fed != number {
		number = several
	}
	r.fed = number
}

// several stands for more than one half. No half gets that number before there have been
// as many halves.
const several = math.MaxUint32

// lendLocked lends the role, unless somebody waits for what arrives.
func (r *Role) lendLocked() {
	if r.setLocked(lent); r.over || r.waiting.Load() > 0 { // a call that waits after this finds it lent
		r.setLocked(kept)
	}
}

// Recall gives a lent role back to its keeper: somebody needs what may arrive, but not by
// a Read.
func (r *Role) Recall() {
	if !r.lent.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == lent {
		r.setLocked(kept)
	}
}

// Await waits for c. Meanwhile the role is not lent.
func (r *Role) Await(c *sync.Cond) {
	r.waiting.Add(1)
	r.Recall()
	c.Wait()
	r.waiting.Add(-1)
}

// Keep ends the lending: the session is about to end.
func (r *Role) Keep() {
	r.mu.Lock()
	r.over = true
	r.mu.Unlock()
	r.Recall()
}

// take takes the role if it is lent, and reports whether it was.
func (r *Role) take() bool {
	if !r.lent.Load() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != lent {
		return false
	}
	r.setLocked(driven)
	return true
}

// leave ends driving, and leaves the role to the next Read.
func (r *Role) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.price = max(r.price-1, leastPrice)
	r.lendLocked()
}

// giveBack ends driving, and gives the role back to the keeper. disappoints says that the
// keeper should not have lent it.
func (r *Role) giveBack(disappoints bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if disappoints {
		r.disappointLocked()
	}
	r.setLocked(kept)
}
