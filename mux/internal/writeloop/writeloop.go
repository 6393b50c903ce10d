// Package writeloop writes what a session has to say to its carrier. What is said while
// the carrier is busy leaves together.
//
// The goroutine that does it lives while there is something to write and a little
// longer. Where the carrier can write without waiting, whoever has something to say may
// do so himself, which saves him from waiting for the goroutine to be scheduled. Await is
// for who has to know that something has left.
package writeloop

import (
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/backdial/backdial/internal/powers"
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

	// Heard is how often the peer has been heard.
	Heard() uint64

	// Took is called when the carrier has taken what it was given, after so long.
	Took(after time.Duration)

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
	messages powers.Messenger    // conn, if it has messages
	prompt   powers.PromptWriter // conn, if it can be written without waiting

	held    bool   // Flush is left to Release
	pending bool   // and was called
	writing bool   // a caller of Release is at it
	more    bool   // and Flush was called meanwhile
	heard   uint64 // of the session, when a caller wrote the last time

	flushing   bool        // the goroutine is about to write, or at it
	running    bool        // there is one
	busy       bool        // it has had work since it was looked at
	retired    bool        // it is to end
	retirement *time.Timer // looks at it
	work       sync.Cond   // it may go on
	kept       bool        // the carrier has kept a part of what it was given
	start      time.Time   // of what it is writing, zero for nothing
	mute       bool        // nothing more can be written

	departures departures
}

// Init makes l the loop of a session with the lock mu, which writes to conn. Its
// goroutine is one of wg. Await has patience with a carrier that is stuck for linger.
func (l *Loop) Init(session Session, mu *sync.Mutex, wg *sync.WaitGroup, conn net.Conn, linger time.Duration) {
	l.session, l.mu, l.wg, l.conn = session, mu, wg, conn
	p := powers.OfConn(conn)
	l.messages, l.prompt = p.Messenger, p.PromptWriter
	l.work.L = mu
	l.departures.linger = linger
}

// Busy reports whether something is about to be written: by now, or by the call of Release
// that has to follow.
func (l *Loop) Busy() bool { return l.flushing || l.writing || l.pending }

// Stuck is for how long the carrier has not taken what it is given.
func (l *Loop) Stuck() time.Duration {
	if l.start.IsZero() {
		return 0
	}
	return time.Since(l.start)
}

// Mute lets nothing more be written, but for what is being written.
func (l *Loop) Mute() {
	l.mute = true
	l.departures.wakeAll()
}

// Muted reports whether nothing more can be written.
func (l *Loop) Muted() bool { return l.mute }

// Wake has the goroutine and those in Await look at whether the session is over.
func (l *Loop) Wake() {
	l.work.Signal()
	l.departures.wakeAll()
}

// Flush sees to it that what there is gets written, which it does not wait for.
func (l *Loop) Flush() {
	l.departures.more = true
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

// Hold leaves what is to be written to the call of Release that has to follow.
func (l *Loop) Hold() { l.held = true }

// Release sees to it that what has come together since Hold gets written. If the carrier
// can write without waiting, and nobody else is at it or about to be, the caller writes
// what there is room for at once, and the goroutine the rest. Release then has let go of
// the lock meanwhile, and returns true.
func (l *Loop) Release() (unlocked bool) {
	pending := l.pending
	l.held, l.pending = false, false
	switch {
	case !pending:
		return false
	case l.mute || l.session.Over(): // it is lost, and somebody may wait for it
		l.session.Flushed()
		return false
	case l.prompt == nil || l.Busy():
		l.Flush()
		return false
	}
	l.writing = true // also while Take has more to say
	if l.crowded() {
		l.mu.Unlock()
		runtime.Gosched()
		l.mu.Lock()
		l.more = false
	}
	l.writeNow()
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

// writeNow writes what there is room for at once.
func (l *Loop) writeNow() {
	if l.mute || l.session.Over() {
		return
	}
	b, ok := l.take()
	if !ok {
		return
	}
	l.mu.Unlock()
	kept, err := l.prompt.WriteNow(b.Messages()...)
	b.Release()
	l.mu.Lock()
	l.kept = kept
	l.written(err)
}

// crowded reports whether somebody has written since the peer was heard. Others may be
// about to, and what they have leaves in the same system call if the caller lets them go
// first. A caller who answers the peer, or asks it one question after the other, does not
// wait.
func (l *Loop) crowded() bool {
	heard := l.session.Heard()
	before := l.heard
	l.heard = heard
	return heard == before
}

// SendsAtOnce reports whether a caller of Release who has n bytes to write is to wait until
// they have left. Where that takes the goroutine, which a large write keeps busy anyway,
// the caller has better things to do.
func (l *Loop) SendsAtOnce(n int) bool { return l.prompt != nil || n < largeWrite }

// largeWrite is how many bytes are worth a system call of their own.
const largeWrite = 16 << 10

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
			if b, ok = l.take(); !ok {
				return
			}
		}
		l.kept = false
		l.start = time.Now()
		l.mu.Unlock()
		err := l.write(b)
		l.mu.Lock()
		if err == nil {
			l.session.Took(l.Stuck())
		}
		l.start = time.Time{}
		l.written(err)
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

// take returns what is to be written next.
func (l *Loop) take() (b Batch, ok bool) {
	l.departures.begin()
	if b, ok = l.session.Take(); !ok {
		l.departures.end()
	}
	return b, ok
}

// written notes what has become of what was taken: the carrier has it, but for what it
// has kept, or it has failed with err.
func (l *Loop) written(err error) {
	switch {
	case err != nil && !l.mute:
		l.Mute()
		l.session.Failed(err)
	case err == nil && !l.kept:
		l.departures.end()
	}
}
