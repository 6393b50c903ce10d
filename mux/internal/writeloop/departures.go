package writeloop

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/backdial/backdial/mux"
)

// A Mark is a point in what a session says. It counts batches, and begins anew after the
// last number. It is 0 only if nothing was said.
type Mark uint32

// next is the number after m.
func (m Mark) next() Mark { return max(m+1, 1) }

// reaches reports whether m is not before n. Of two that are 2³¹ batches apart it cannot
// tell.
func (m Mark) reaches(n Mark) bool { return int32(m-n) >= 0 }

// departures are what has been taken from the session, one batch after the other, and
// who waits until the carrier has it.
type departures struct {
	begun   Mark // batches that were taken
	ended   Mark // batches that the carrier has: all of them, or all but the last
	more    bool // something was said after the last batch was taken
	watched bool // watchdog is going to look

	waiting  []waiter
	linger   time.Duration // the most that they wait for a carrier that is stuck
	watchdog *time.Timer   // nil before the first use
}

// A waiter is woken when the carrier has all up to a mark.
type waiter struct {
	cond *sync.Cond
	mark Mark
}

// Mark returns the point up to which the session has spoken.
func (l *Loop) Mark() Mark {
	d := &l.departures
	if d.more {
		return d.begun.next()
	}
	return d.begun
}

// Left reports whether the carrier has all up to m.
func (l *Loop) Left(m Mark) bool { return l.departures.ended.reaches(m) }

// Await waits until the carrier has all up to m. It returns an error that matches
// [mux.ErrUnsent] when the carrier has been stuck for too long, however long the call has
// waited, and that of giveUp if it returns one. giveUp is called whenever cond is woken,
// whose lock is the session's, and when nothing more can be written.
func (l *Loop) Await(m Mark, cond *sync.Cond, giveUp func() error) error {
	d := &l.departures
	for !l.Left(m) && d.linger > 0 {
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

// watch has those in Await woken when the carrier has been stuck for too long.
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

// look is what the watchdog does. It is set only while somebody waits, and not stopped
// when nobody does any more: it costs little, once in a while.
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

// begin notes that the next batch is taken.
func (d *departures) begin() {
	d.more = false
	d.begun = d.begun.next()
}

// end notes that the carrier has the last batch that was taken.
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

// wakeAll has all look for themselves.
func (d *departures) wakeAll() {
	for _, w := range d.waiting {
		w.cond.Broadcast()
	}
	clear(d.waiting)
	d.waiting = d.waiting[:0]
}
