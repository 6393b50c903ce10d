// Package relay joins two streams, so that their far ends talk as if there was one.
//
// What a stream promises, as package mux documents it, holds across the hop:
//
//   - A far end reads [io.EOF] only after the other has finished its direction. If a stream is
//     reset, or its session is lost, the relay resets the other stream, with the same code if
//     there is one and the other stream has codes.
//   - Each direction ends by itself, in any order. What was written before that arrives.
//   - A far end that does not read stops the one that writes. The relay holds no more than one
//     chunk of each direction, and what the windows of the two streams let in.
//   - If a far end writes to one that has closed its stream, its writes fail. What that one
//     had written before still arrives first.
//
// The last takes longer than without a hop. The only way to make a far end's writes fail is to
// end its stream, which ends the other direction too. So the relay discards what it writes
// until it has read all that was sent to it. It has a minute for that, again whenever it reads
// some; then its stream is reset.
//
// If a far end resets its stream while nothing reads what it has written before, the relay
// notices within seconds, if the stream is a [mux.Checker]. If a stream is reset or lost after
// its far end has finished its direction, the relay notices when the other far end writes.
//
// Two things differ from a connection without a hop. A far end sees the loss of the other
// session as a reset. And a far end that writes to a stream that the other has finished and
// then reset may find the code of a stream that was closed.
package relay

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/internal/powers"
	"github.com/backdial/backdial/mux"
)

const (
	// patience is how long a direction may stall once the other side has stopped reading.
	patience = time.Minute

	// glance is how soon a direction that stalls is checked, and how often.
	glance = 5 * time.Second
)

// Join passes on what arrives on a and b until both directions are over, and then ends both
// streams. From now on it owns them. To end it earlier, reset both. It returns nil if it has
// passed on all that was written, and the ends of both directions; otherwise it returns why
// not.
//
// It uses one goroutine besides its caller's. While nothing arrives, it holds no buffer for a
// stream that is a [mux.WriterTo], as streams of this library are, and 32 KiB for any other.
func Join(a, b mux.Stream) error {
	there := &direction{from: a, to: b}
	back := &direction{from: b, to: a}
	p := new(pair)
	var other sync.WaitGroup
	other.Go(func() { p.pass(back, there) })
	p.pass(there, back)
	other.Wait()
	return p.err
}

// A direction is what one far end sends to the other. It is a Writer to the latter.
type direction struct {
	from, to mux.Stream
	until    time.Time   // the deadline of writes
	refused  error       // why writing has failed: the far end refuses to read
	hurried  atomic.Bool // it must not stall for longer than patience

	// Guarded by pair.mu.
	over    bool // all was passed on, including its end
	useless bool // nothing reads, so data is discarded
}

// Write passes p on. While nothing reads p, nothing reads the stream that it came from either,
// so Write checks whether that was cut.
func (d *direction) Write(p []byte) (written int, err error) {
	for stood := time.Duration(0); ; {
		began := d.extend()
		n, err := d.to.Write(p[written:])
		written += n
		if err == nil {
			d.renew()
			return written, nil
		}
		switch stood += time.Since(began); {
		case !errors.Is(err, os.ErrDeadlineExceeded), stood > patience:
			d.refused = err
			return written, err
		case n > 0, !d.hurried.Load():
			stood = 0
		}
		if c := powers.OfStream(d.from).Checker; c != nil {
			if err := c.Check(); err != nil {
				return written, err
			}
		}
	}
}

// extend moves the deadline of writes, unless it is far enough away: moving it costs as much
// as much of a small write. It returns the time.
func (d *direction) extend() time.Time {
	now := time.Now()
	if d.until.Sub(now) < glance/2 {
		d.until = now.Add(glance)
		d.to.SetWriteDeadline(d.until)
	}
	return now
}

// hurry makes d fail if it stalls for too long, whatever it waits for now.
func (d *direction) hurry() {
	d.hurried.Store(true)
	d.renew()
}

// renew gives a direction in a hurry its time again.
func (d *direction) renew() {
	if d.hurried.Load() {
		d.from.SetReadDeadline(time.Now().Add(patience))
	}
}

// A pair is two streams that are joined.
type pair struct {
	mu  sync.Mutex // guards below, and parts of the directions
	err error      // the first
}

// pass does all that is to do for d. back is the opposite direction.
func (p *pair) pass(d, back *direction) {
	_, err := io.Copy(d, d.from)
	switch {
	case d.refused != nil:
		p.failed(fmt.Errorf("relay: write: %w", d.refused))
		p.discard(d, back)
	case err != nil:
		p.cut(d, err)
	default:
		p.finish(d, back)
	}
}

// finish ends d, of which everything has been passed on.
func (p *pair) finish(d, back *direction) {
	// If this fails, the far end no longer reads. As there is no more to read, the opposite
	// direction finds out what that means.
	d.to.CloseWrite()
	p.mu.Lock()
	defer p.mu.Unlock()
	d.over = true
	switch {
	case back.useless:
		back.release()
	case back.over:
		d.from.Close()
		d.to.Close()
	}
}

// discard discards what is still sent in d, which nothing reads, until the opposite direction
// has nothing more to pass on.
func (p *pair) discard(d, back *direction) {
	p.mu.Lock()
	d.useless = true
	switch {
	case back.over:
		d.release()
	case back.useless: // neither far end reads
		d.from.Reset()
		d.to.Reset()
	default:
		back.hurry()
	}
	p.mu.Unlock()
	if _, err := io.Copy(io.Discard, d.from); err != nil {
		p.cut(d, err)
	}
}

// release ends both streams of d, which nothing reads, when the other direction is over. The
// far end that writes learns that writing is pointless, and still reads what it got. The far
// end that does not read has not got everything, so it must not see an orderly end.
func (d *direction) release() {
	d.from.Close()
	d.to.Reset()
}

// cut ends both streams because reading d has failed with err. If they were ended before, that
// is why, and nothing happens.
func (p *pair) cut(d *direction, err error) {
	p.failed(fmt.Errorf("relay: read: %w", err))
	d.from.Reset()
	if e, ok := errors.AsType[*mux.ResetError](err); ok && e.Code <= math.MaxUint32 {
		if c := powers.OfStream(d.to).CodeResetter; c != nil {
			c.ResetWithCode(uint32(e.Code))
			return
		}
	}
	d.to.Reset()
}

// failed notes why not everything arrives.
func (p *pair) failed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = cmp.Or(p.err, err)
}
