package engine

import (
	"fmt"
	"io"
	"time"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/recv"
)

// receive takes the next n bytes from r, or fewer if nobody reads them. It returns how
// many bytes are left, and whether the stream is still read. If not, it tells the peer.
func (st *stream) receive(r *reader, n int) (left int, wanted bool, err error) {
	st.in.Lock()
	defer st.in.Unlock()
	if st.in.StateLocked() == recv.Finished {
		// Libraries send it if Write is called during Close. They do not expect a reset for
		// it.
		return n, true, nil
	}
	if over := st.in.ReceivedLocked() + uint64(n); over > st.in.AllowedLocked() {
		return n, false, fmt.Errorf("%w: %d bytes more on stream %d than allowed", mux.ErrProtocol, over-st.in.AllowedLocked(), st.id)
	}
	left, err = st.in.FillLocked(r, n)
	return left, st.in.StateLocked() != recv.Discarding, err
}

// creditLocked is what the peer may send, as an absolute credit.
func (st *stream) creditLocked() Credit {
	consumed := st.in.ConsumedLocked()
	return Credit{Consumed: uint32(consumed), Window: uint32(st.in.AllowedLocked() - consumed)}
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

// Extend implements [recv.Owner].
func (st owner) Extend(more uint64, grown bool) {
	credit := st.creditLocked()
	credit.Grant = uint32(more)
	s := st.s
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.appendLocked(Frame{ID: st.id, Credit: credit})
	if grown {
		s.MeasureLocked() // the round trip may be shorter than it seemed
	}
}

// Abandon implements [recv.Owner].
func (st owner) Abandon(err error) {
	st.in.Lock()
	credit := st.creditLocked()
	st.in.Unlock()
	st.s.Mu.Lock()
	st.s.appendLocked(Frame{Flags: Reset, ID: st.id, Credit: credit})
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

// Freed does nothing: the waiting reader goes on by itself.
func (s receiver) Freed() {}

// Waiting lets the peer know that a session whose reader waits for memory, and so reads
// nothing, is alive, and does not take the peer for dead. An answer to the peer's last
// ping tells it that this end will read on.
func (s receiver) Waiting() {
	s.Hear(0)
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.AskAnewLocked()
	s.appendLocked(Frame{Kind: Pong, Value: s.asked})
}
