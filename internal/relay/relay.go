// Package relay joins two streams, so that their far ends talk as if there was one.
//
// What a stream promises, as written in package mux, holds across the hop:
//
//   - A far end reads [io.EOF] only after the other has finished its direction. A stream
//     that is reset, or whose session is lost, is reset at the other far end; with the
//     same code, where there is one and the other stream has codes.
//   - Each direction ends by itself, in any order. What was written before that arrives.
//   - A far end that does not read stops the one that writes. The relay holds no more
//     than one chunk of each direction, and what the windows of the two streams let in.
//   - A far end that writes to one that has closed its stream sees its writes fail. What
//     that one had written before still arrives first.
//
// The last takes longer than without a hop, because there is no way to make writes of a
// far end fail but to end its stream, which ends the other direction, too. So what it
// writes is thrown away until it has read what it is still to get. For that it has a
// minute, again whenever it takes some; then its stream is reset.
//
// A far end that resets its stream while nobody takes what it has written before is
// noticed within seconds, if the stream is a [mux.Checker]. One that is reset, or lost,
// when it has finished its direction is noticed when the other far end writes.
//
// Two things are told otherwise than without a hop. A lost session is a reset to who is
// not part of it. And who writes to a stream that its far end has finished and then reset
// may find the code of a stream that was closed.
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
	// patience is how long a direction may stand still, of which the other has nobody
	// who reads.
	patience = time.Minute

	// glance is how soon a direction that stands still is looked at, and how often.
	glance = 5 * time.Second
)

// Join passes on what arrives on a and b, until both directions are over, and ends both
// streams, which are its own from now on. To have it end earlier, reset both. It returns
// nil if all that was written has been passed on, and the ends of both directions, and
// otherwise why not.
//
// It has one goroutine besides its caller's. As long as nothing arrives it holds no
// buffers for streams that are a [mux.WriterTo], as those of this library are, and 32 KiB
// for each other.
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
	refused  error       // by the far end that was to read: why writing has failed
	hurried  atomic.Bool // it must not stand still for longer than patience

	// Guarded by pair.mu.
	over    bool // all has been passed on, and its end
	useless bool // nobody reads, and what is written is thrown away
}

// Write passes p on. While nobody takes it, nobody reads what it came from either, so it
// looks whether that has been cut.
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

// extend moves the deadline of writes, unless it is far enough away: to move it costs as
// much as much of a small write. It returns the time.
func (d *direction) extend() time.Time {
	now := time.Now()
	if d.until.Sub(now) < glance/2 {
		d.until = now.Add(glance)
		d.to.SetWriteDeadline(d.until)
	}
	return now
}

// hurry has d fail if it stands still for too long, whatever it waits for now.
func (d *direction) hurry() {
	d.hurried.Store(true)
	d.renew()
}

// renew begins the time anew that a direction in a hurry has to go on.
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

// pass does all that there is to do for d. back is the opposite direction.
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
	// If it fails, nobody reads any more. There is no more either, so it is up to the
	// opposite direction to find out what that means.
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

// discard throws away what is still sent in d, because nobody reads it, until nothing
// more is to be passed on in the opposite direction.
func (p *pair) discard(d, back *direction) {
	p.mu.Lock()
	d.useless = true
	switch {
	case back.over:
		d.release()
	case back.useless: // then there is nobody at all
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

// release ends both streams of d, which nobody reads, while the other direction is over.
// So who writes is told that there is no point in it, and still reads what he got. Who
// does not read did not get all, so that must not look like an end.
func (d *direction) release() {
	d.from.Close()
	d.to.Reset()
}

// cut ends both streams because reading d has failed with err. Where they have been ended
// before, that is why, and nothing happens.
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

// failed notes why not all arrives.
func (p *pair) failed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = cmp.Or(p.err, err)
}
