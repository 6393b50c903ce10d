package writeloop

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/backdial/backdial/mux"
)

// A Mark is a point in a session's output. It counts batches, and wraps around. It is 0
// only if nothing was written.
type Mark uint32

// next is the mark after m.
func (m Mark) next() Mark { return max(m+1, 1) }

// reaches reports whether m is not before n. It cannot tell marks apart that are 2³¹
// batches away from each other.
func (m Mark) reaches(n Mark) bool { return int32(m-n) >= 0 }

// departures tracks the batches taken from the session and the calls that wait until the
// carrier has them.
type departures struct {
	begun   Mark // batches taken
	ended   Mark // batches that the carrier has: all of them, or all but the last
	more    bool // Mark was called since the last batch was taken
	watched bool // the watchdog is set

	waiting  []waiter
	linger   time.Duration // how long they wait for a stuck carrier
	watchdog *time.Timer   // nil before the first use
}

// A waiter is woken when the carrier has everything up to a mark.
type waiter struct {
	cond *sync.Cond
	mark Mark
}

// Mark returns the current end of the session's output.
func (l *Loop) Mark() Mark {
	d := &l.departures
	if d.more {
		return d.begun.next()
	}
	return d.begun
}

// Sent reports whether the carrier has everything up to m.
func (l *Loop) Sent(m Mark) bool { return m == 0 || l.departures.ended.reaches(m) }

// Await waits until the carrier has everything up to m. It returns an error that matches
// [mux.ErrUnsent] once the carrier has been stuck for too long, however long this call
// has waited, and giveUp's error if it returns one. giveUp is called whenever cond, whose
// lock is the session's, is woken, and when nothing more can be written.
func (l *Loop) Await(m Mark, cond *sync.Cond, giveUp func() error) error {
	d := &l.departures
	for !l.Sent(m) && d.linger > 0 {
		if err := giveUp(); err != nil {
			return err
		}
		if l.Stuck() >= d.linger {
			return fmt.Errorf("%w: the carrier has taken nothing for %v", mux.ErrUnsent, d.linger)
		}
		d.waiting = append(d.waiting, waiter{cond, m})
		l.watch()
		cond.Wait()
	}
	return nil
}

// watch sets a timer that wakes the calls in Await when the carrier has been stuck for
// too long.
func (l *Loop) watch() {
	d := &l.departures
	if d.watched {
		return
	}
	d.watched = true
	if left := d.linger - l.Stuck(); d.watchdog == nil {
		d.watchdog = time.AfterFunc(left, l.look)
	} else {
		d.watchdog.Reset(left)
	}
}

// look is the watchdog's timer function. The timer is set only while a call waits, and
// not stopped when none does any more: it costs little, and rarely.
func (l *Loop) look() {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := &l.departures
	d.watched = false
	switch {
	case l.Stuck() >= d.linger:
		d.wakeAll()
	case len(d.waiting) > 0:
		l.watch()
	}
}

// begin notes that a batch has been taken.
func (d *departures) begin() {
	d.more = false
	d.begun = d.begun.next()
}

// end notes that the carrier has the last batch.
func (d *departures) end() {
	d.ended = d.begun
	d.waiting = slices.DeleteFunc(d.waiting, func(w waiter) bool {
		left := d.ended.reaches(w.mark)
		if left {
			w.cond.Broadcast()
		}
		return left
	})
}

// wakeAll wakes all waiters, to look for themselves.
func (d *departures) wakeAll() {
	for _, w := range d.waiting {
		w.cond.Broadcast()
	}
	clear(d.waiting)
	d.waiting = d.waiting[:0]
}
