// Package writeloop writes what a session has to say to its carrier. What is said while
// the carrier is busy leaves together.
//
// The goroutine that does it lives while there is something to write and a little
// longer. Where the carrier can write without waiting, whoever has something to say may
// do so himself, which saves him from waiting for the goroutine to be scheduled.
package writeloop

import (
	"net"
	"sync"
	"time"

	"github.com/backdial/backdial/carrier"
)

// retirement is how long the goroutine is kept, at least, when there is nothing to
// write: a new one would have to grow its stack first. Twice that is the most.
const retirement = time.Second

// A Batch is what leaves together.
type Batch interface {
	// Messages are the batch as the carrier gets it: one, if the carrier has no
	// messages.
	Messages() [][]byte

	// Release is called when the batch has been written, or cannot be.
	Release()
}

// A Session is what has something to say. Its methods are called with its lock held.
type Session interface {
	// Take returns what is to be written next. It is not called after the end.
	Take() (b Batch, ok bool)

	// Over reports whether the session has ended.
	Over() bool

	// Flushed is called when all has been written that can be.
	Flushed()

	// Failed is called, once, when the carrier cannot be written any more.
	Failed(err error)
}

// A Loop writes. Its methods are called with the session's lock held.
type Loop struct {
	session  Session
	mu       *sync.Mutex // the session's
	wg       *sync.WaitGroup
	conn     net.Conn
	messages carrier.MessageConn  // conn, if it is one
	prompt   carrier.PromptWriter // conn, if it is one

	held    bool   // Flush is left to Release
	pending bool   // and was called
	writing bool   // a caller of Release is at it
	more    bool   // and Flush was called meanwhile
	heard   uint64 // of Prompt, when it last was true

	flushing   bool        // the goroutine is about to write, or at it
	running    bool        // there is one
	busy       bool        // it has had work since it was looked at
	retired    bool        // it is to end
	retirement *time.Timer // looks at it
	work       sync.Cond   // it may go on
	kept       bool        // the carrier has kept a part of what it was given
	start      time.Time   // of what it is writing, zero for nothing
	mute       bool        // nothing more can be written
}

// Init makes l the loop of a session with the lock mu, which writes to conn. Its
// goroutine is one of wg.
func (l *Loop) Init(session Session, mu *sync.Mutex, wg *sync.WaitGroup, conn net.Conn) {
	l.session, l.mu, l.wg, l.conn = session, mu, wg, conn
	l.messages, _ = conn.(carrier.MessageConn)
	l.prompt, _ = conn.(carrier.PromptWriter)
	l.work.L = mu
}

// Busy reports whether something is about to be written.
func (l *Loop) Busy() bool { return l.flushing || l.writing }

// Stuck is for how long the carrier has not taken what it is given.
func (l *Loop) Stuck() time.Duration {
	if l.start.IsZero() {
		return 0
	}
	return time.Since(l.start)
}

// Mute lets nothing more be written, but for what is being written.
func (l *Loop) Mute() { l.mute = true }

// Muted reports whether nothing more can be written.
func (l *Loop) Muted() bool { return l.mute }

// Wake has the goroutine look at whether the session is over.
func (l *Loop) Wake() { l.work.Signal() }

// Flush sees to it that what there is gets written, which it does not wait for.
func (l *Loop) Flush() {
	switch {
	case l.held:
		l.pending = true
		return
	case l.writing:
		l.more = true
		return
	case l.flushing, l.mute, l.session.Over():
		return
	}
	again := l.retired
	l.flushing, l.busy, l.retired = true, true, false
	switch {
	case !l.running:
		l.running = true
		l.wg.Go(l.run)
	case again: // it has not noticed yet
		l.retirement.Reset(retirement)
		fallthrough
	default:
		l.work.Signal()
	}
}

// largeWrite is how many bytes are worth a system call of their own.
const largeWrite = 16 << 10

// Prompt reports whether who writes n bytes should put them onto the carrier himself: if
// they are worth a system call, or the peer has been heard since that was done before,
// and may wait for an answer. heard is how often it has been. Other small writes are
// better off in one batch.
func (l *Loop) Prompt(n int, heard uint64) bool {
	if n < largeWrite && heard == l.heard {
		return false
	}
	l.heard = heard
	return true
}

// Hold leaves what is to be written to the call of Release that has to follow.
func (l *Loop) Hold() { l.held = true }

// Release sees to it that what has come together since Hold gets written. If now is
// true, the carrier can write without waiting, and nobody else is at it, the caller
// writes what there is room for at once, and the goroutine the rest. Release then has
// let go of the lock meanwhile, and returns true.
func (l *Loop) Release(now bool) (unlocked bool) {
	pending := l.pending
	l.held, l.pending = false, false
	if !pending {
		return false
	}
	if !now || l.prompt == nil || l.Busy() || l.mute || l.session.Over() {
		l.Flush()
		return false
	}
	l.writing = true // also while Take has more to say
	if b, ok := l.session.Take(); ok {
		l.mu.Unlock()
		kept, err := l.prompt.WriteNow(b.Messages()...)
		b.Release()
		l.mu.Lock()
		l.kept = kept
		l.failed(err)
	}
	l.writing = false
	if l.kept || l.more {
		l.more = false
		l.Flush()
	}
	if !l.flushing {
		l.session.Flushed()
	}
	return true
}

// run is the goroutine.
func (l *Loop) run() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retirement = time.AfterFunc(retirement, l.retire)
	defer l.retirement.Stop()
	for l.flushing {
		l.writeAll()
		l.flushing = false
		l.session.Flushed()
		for !l.flushing && !l.retired && !l.session.Over() {
			l.work.Wait()
		}
	}
	l.running = false
}

// retire ends the goroutine, unless it has had something to do since it was looked at
// before.
func (l *Loop) retire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.session.Over():
	case l.busy:
		l.busy = false
		l.retirement.Reset(retirement)
	default:
		l.retired = true
		l.work.Signal()
	}
}

// writeAll writes until there is nothing to write or the session is over.
func (l *Loop) writeAll() {
	for !l.session.Over() && !l.mute {
		var b Batch // nil for what the carrier has kept
		if !l.kept {
			var ok bool
			if b, ok = l.session.Take(); !ok {
				return
			}
		}
		l.kept = false
		l.start = time.Now()
		l.mu.Unlock()
		err := l.write(b)
		l.mu.Lock()
		l.start = time.Time{}
		l.failed(err)
	}
}

func (l *Loop) write(b Batch) error {
	if b == nil {
		return l.prompt.Flush()
	}
	defer b.Release()
	if l.messages != nil {
		return l.messages.WriteMessages(b.Messages()...)
	}
	for _, m := range b.Messages() {
		if _, err := l.conn.Write(m); err != nil {
			return err
		}
	}
	return nil
}

// failed notes that the carrier has failed with err, if it has.
func (l *Loop) failed(err error) {
	if err != nil && !l.mute {
		l.mute = true
		l.session.Failed(err)
	}
}
