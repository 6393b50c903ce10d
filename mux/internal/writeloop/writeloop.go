// Package writeloop writes a session's output to its carrier. What is queued while the
// carrier is busy is sent together.
//
// Its goroutine lives while there is something to write and a little longer. If the
// carrier can write without waiting, the caller that has queued something may write it
// itself, without waiting for the goroutine to be scheduled. Callers that need to know
// that their output has left use Await.
package writeloop

import (
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/backdial/backdial/internal/powers"
)

// retirement is how long an idle goroutine is kept at least, because a new one would
// first have to grow its stack. It is kept at most twice that long.
const retirement = time.Second

// A Batch is output that is sent together.
type Batch interface {
	// Messages returns the batch as the carrier needs it: as one message, if the carrier
	// has no messages.
	Messages() [][]byte

	// Release is called when the batch has been written, or cannot be.
	Release()
}

// A Session is the source of the output. Its methods are called with its lock held.
type Session interface {
	// Take returns the next batch. It is not called after the session's end.
	Take() (b Batch, ok bool)

	// Over reports whether the session has ended.
	Over() bool

	// Heard is how often the peer has been heard from.
	Heard() uint64

	// Took is called when the carrier has taken a write, with the time it took.
	Took(after time.Duration)

	// Flushed is called when everything that can be written has been.
	Flushed()

	// Failed is called, once, when the carrier can no longer be written.
	Failed(err error)
}

// A Loop writes a session's output. Its methods are called with the session's lock held.
type Loop struct {
	session  Session
	mu       *sync.Mutex // the session's
	wg       *sync.WaitGroup
	conn     net.Conn
	messages powers.Messenger    // conn, if it has messages
	prompt   powers.PromptWriter // conn, if it can be written without waiting

	held    bool   // Release will do what Flush is asked for
	pending bool   // Flush was called meanwhile
	writing bool   // a caller of Release is writing
	more    bool   // Flush was called meanwhile
	heard   uint64 // Session.Heard when a caller last wrote

	yielding int // calls of ReleaseLate that let others go first

	flushing   bool        // the goroutine is writing, or about to
	running    bool        // the goroutine exists
	busy       bool        // it has had work since retire last looked
	retired    bool        // it must end
	retirement *time.Timer // calls retire
	work       sync.Cond   // wakes it
	kept       bool        // the carrier has kept part of a write
	start      time.Time   // of the write under way; zero for none
	mute       bool        // nothing more may be written

	room       room
	departures departures
}

// Init makes l the loop of a session with the lock mu, which writes to conn. Its
// goroutine belongs to wg. Await waits for a stuck carrier for linger.
func (l *Loop) Init(session Session, mu *sync.Mutex, wg *sync.WaitGroup, conn net.Conn, linger time.Duration) {
	l.session, l.mu, l.wg, l.conn = session, mu, wg, conn
	p := powers.OfConn(conn)
	l.messages, l.prompt = p.Messenger, p.PromptWriter
	l.work.L = mu
	l.departures.linger = linger
}

// Busy reports whether something is about to be written: now, or in the Release that
// follows.
func (l *Loop) Busy() bool { return l.taken() || l.yielding > 0 }

// taken reports whether somebody is writing, or will.
func (l *Loop) taken() bool { return l.flushing || l.writing || l.pending }

// Stuck is for how long the carrier has not taken the write under way.
func (l *Loop) Stuck() time.Duration {
	if l.start.IsZero() {
		return 0
	}
	return time.Since(l.start)
}

// Mute stops all writes after the one under way.
func (l *Loop) Mute() {
	l.mute = true
	l.departures.wakeAll()
}

// Muted reports whether nothing more may be written.
func (l *Loop) Muted() bool { return l.mute }

// Wake makes the goroutine, and calls in Await, check whether the session is over.
func (l *Loop) Wake() {
	l.work.Signal()
	l.departures.wakeAll()
}

// Flush starts writing what there is, and does not wait for it.
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

// Hold defers writing to the call of Release that has to follow.
func (l *Loop) Hold() { l.held = true }

// Release writes what has been queued since Hold. If the carrier can write without
// waiting, and nobody else is writing or about to, the caller itself writes as much as
// there is room for, and the goroutine the rest. In that case Release has unlocked the
// lock meanwhile, and returns true.
func (l *Loop) Release() (unlocked bool) {
	pending := l.pending
	l.held, l.pending = false, false
	switch {
	case !pending:
		return false
	case l.mute || l.session.Over(): // the output is lost, and a call may wait for it
		l.session.Flushed()
		return false
	case l.prompt == nil || l.taken():
		l.Flush()
		return false
	}
	l.writing = true // even while Take returns more
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

// ReleaseLate is Release for output that nobody is in a hurry to get, such as the end of a
// stream. Whoever is about to write may do so first, and then takes that output along.
func (l *Loop) ReleaseLate() {
	if l.pending && l.prompt != nil && !l.flushing && !l.writing {
		l.held, l.pending = false, false
		l.yielding++
		l.mu.Unlock()
		runtime.Gosched()
		l.mu.Lock()
		l.yielding--
		if l.pending = l.departures.more; !l.pending && !l.Busy() { // it has been taken along
			l.session.Flushed()
		}
	}
	l.Release()
}

// writeNow writes as much as there is room for.
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

// crowded reports whether somebody has written since the peer was last heard from. Others
// may be about to, and if the caller lets them go first, one system call sends the output
// of all. A caller that answers the peer, or asks it one question after the other, does
// not wait.
func (l *Loop) crowded() bool {
	heard := l.session.Heard()
	before := l.heard
	l.heard = heard
	return heard == before
}

// SendsAtOnce reports whether a caller of Release that has written n bytes should wait
// until they have left. If only the goroutine could send them, a large write keeps it
// busy anyway, and the caller has better things to do.
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

// retire ends the goroutine, unless it has had work since the last look.
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
		n, err := l.write(b)
		l.mu.Lock()
		if err == nil {
			after := l.Stuck()
			l.room.took(n, after)
			l.session.Took(after)
		}
		l.start = time.Time{}
		l.written(err)
	}
}

// write writes b, or what the carrier has kept, and returns the size of b.
func (l *Loop) write(b Batch) (n int, err error) {
	if b == nil {
		return 0, l.prompt.Flush()
	}
	defer b.Release()
	messages := b.Messages()
	for _, m := range messages {
		n += len(m)
	}
	if l.messages != nil {
		return n, l.messages.WriteMessages(messages...)
	}
	for _, m := range messages {
		if _, err := l.conn.Write(m); err != nil {
			return n, err
		}
	}
	return n, nil
}

// take returns the next batch.
func (l *Loop) take() (b Batch, ok bool) {
	l.departures.begin()
	if b, ok = l.session.Take(); !ok {
		l.departures.end()
	}
	return b, ok
}

// written notes the result of a write: the carrier has everything except what it has
// kept, or it has failed with err.
func (l *Loop) written(err error) {
	switch {
	case err != nil && !l.mute:
		l.Mute()
		l.session.Failed(err)
	case err == nil && !l.kept:
		l.departures.end()
	}
}
