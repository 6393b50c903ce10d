package qmux

import (
	"cmp"
	"io"
	"time"

	"github.com/backdial/backdial/mux/internal/recv"
)

// receive takes the payload of f, or only part of it if nobody wants the rest, and
// returns how much is left. Only the session's reader calls it.
func (st *stream) receive(f frame, r *recordReader) (left int, err error) {
	st.in.Lock()
	defer st.in.Unlock()
	received, allowed, end := st.in.ReceivedLocked(), st.in.AllowedLocked(), f.offset+uint64(f.length)
	switch {
	case st.final && (f.length > 0 || end != received):
		return 0, violation(finalSizeError, f.typ, "data up to %d on stream %d, whose final size is %d", end, st.id, received)
	case f.offset != received: // a stream's data comes in order
		return 0, violation(protocolViolation, f.typ, "data at %d on stream %d, but %d comes next", f.offset, st.id, received)
	case end > allowed:
		return 0, violation(flowControlError, f.typ, "%d bytes on stream %d, but only %d are allowed", end, st.id, allowed)
	}
	if left, err = st.in.FillLocked(r, f.length); err != nil {
		return left, err
	}
	st.in.SkipLocked(end)
	if (left > 0 || st.in.StateLocked() == recv.Discarding && end == allowed) && !f.fin {
		st.s.Mu.Lock()
		st.s.stopLocked(st, codeClosed) // the peer does not know yet, or waits for room that will not come
		st.s.Mu.Unlock()
	}
	return left, nil
}

// progress returns how much has arrived and how much may, and whether the final size is
// known.
func (st *stream) progress() (received, allowed uint64, final bool) {
	st.in.Lock()
	defer st.in.Unlock()
	return st.in.ReceivedLocked(), st.in.AllowedLocked(), st.final
}

// finish notes that the peer has sent everything.
func (st *stream) finish() {
	st.in.Lock()
	defer st.in.Unlock()
	if !st.final {
		st.in.EndLocked(recv.Finished, nil)
		st.endReceivingLocked()
	}
}

// reset notes that the peer sends no more after final. Unread data is dropped.
func (st *stream) reset(final uint64, err error) {
	st.in.Lock()
	defer st.in.Unlock()
	st.in.EndLocked(recv.Failed, err)
	st.in.DropLocked()
	st.in.SkipLocked(final)
	st.endReceivingLocked()
}

// endReceivingLocked notes in both halves that the peer has no more to say.
func (st *stream) endReceivingLocked() {
	st.final = true
	st.s.Mu.Lock()
	defer st.s.Mu.Unlock()
	st.recvDone = true
	st.s.checkOverLocked(st)
}

// Read implements [mux.Stream].
func (st *stream) Read(p []byte) (int, error) { return st.in.Read(p) }

// WriteTo implements [mux.WriterTo].
func (st *stream) WriteTo(w io.Writer) (int64, error) { return st.in.WriteTo(w) }

// Check implements [mux.Checker].
func (st *stream) Check() error { return st.in.Check() }

// SetReadDeadline implements [net.Conn].
func (st *stream) SetReadDeadline(t time.Time) error { return st.in.SetReadDeadline(t) }

// owner is a stream as seen by its receiving half.
type owner struct{ *stream }

var _ recv.Owner = owner{}

// Extend implements [recv.Owner]. While streams take turns, what the peer runs out of first is
// the connection's credit. So the stream's waits for that, or for the stream's next frame,
// whichever comes first: several frames leave with one system call, and wake the peer once.
//
// The next frame must then have room, also after one that is being received.
func (st owner) Extend(more uint64, grown bool) {
	if grown {
		st.s.inflow.widen(st.in.WindowLocked())
	}
	left := st.in.AllowedLocked() - more - st.in.ReceivedLocked()
	st.s.Mu.Lock()
	defer st.s.Mu.Unlock()
	waits := st.pending&pendingGrant == 0 && st.s.arrivals.turns && left >= maxRecordSize+minPayload
	st.granted = st.in.AllowedLocked()
	if waits && !grown {
		st.s.noteLocked(st.stream, pendingGrant)
		return
	}
	st.s.pendLocked(st.stream, pendingGrant)
	if grown {
		st.s.control.maxData = true
		st.s.MeasureLocked() // the round trip may be shorter than it seemed
	}
}

// Abandon implements [recv.Owner].
func (st owner) Abandon(err error) {
	st.s.Mu.Lock()
	st.s.giveUpLocked(st.stream, codeRefused)
	st.writeErr = cmp.Or(st.writeErr, err) // at once: no data may follow RESET_STREAM
	st.s.Mu.Unlock()
	st.abort(recv.Discarding, err)
}

// receiver is a session as seen by its budget.
type receiver struct{ *session }

var _ recv.Session = receiver{}

func (s receiver) Halves() []*recv.Pushed {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	var halves []*recv.Pushed
	for _, st := range protocol(s).LiveLocked() {
		halves = append(halves, &st.in)
	}
	return halves
}

func (s receiver) Shortest() time.Duration { return s.Pings.Shortest() }

// Freed lets the peer go on if it waits for credit.
func (s receiver) Freed() { s.extendInflow() }

// Waiting is not called: the reader waits for nothing.
func (s receiver) Waiting() {}
