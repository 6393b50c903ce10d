package nativemux

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/life"
	"github.com/backdial/backdial/mux/internal/recv"
)

// A session ends in one of two ways. Close tells the peer what it should have, waits
// until the peer says that it has it, and only then closes the connection, because that
// makes both ends throw away unread data. All other ends go straight to End.

// hope is how long Close waits for a peer that cannot say that it has everything.
const hope = 200 * time.Millisecond

// farewell is how long a peer that closes the session has to close the connection, once it
// is told that everything has arrived. Its program may have ended as soon as it heard that,
// with the carrier's last packet still in its memory.
const farewell = time.Second

// past is a deadline in the past.
var past = time.Unix(1, 0)

// Farewell tells the peer what it should have, and waits until the peer says that it has
// everything.
func (s protocol) Farewell(live []*stream) {
	ctx := s.Context()
	written := make(map[uint64]uint64, len(live))
	for _, st := range live {
		if n, ok := st.unfinished(); ok {
			written[st.cs.ID()] = n
		}
	}
	if !s.listenSide && !s.awaitHello(ctx) {
		return
	}
	s.Mu.Lock()
	s.sayLocked(func(c *control) { c.closing = &closing{s.announced, written} })
	s.answerClosingLocked()
	s.Mu.Unlock()
	select {
	case <-s.control.answered:
	case <-ctx.Done():
	}
}

// awaitHello waits until the peer has said hello, and reports whether it has. If not, it
// has waited long enough for what was written to arrive, if all goes well. It does not
// wait if there is nothing to tell but the end.
func (s *session) awaitHello(ctx context.Context) bool {
	s.Mu.Lock()
	nothing := s.announced == 0 && s.arrived == 0 && len(s.control.messages) == 0
	heard := s.control.heard
	s.Mu.Unlock()
	if nothing && !heard {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, max(hope, helloWait-time.Since(s.started)))
	defer cancel()
	select {
	case <-s.control.greeted:
		return true
	case <-ctx.Done():
		return false
	}
}

// Cut ends the streams first, before the end of the connection wakes them with an error
// of its own.
func (s protocol) Cut(live []*stream, err error) {
	for _, st := range live {
		st.abort(recv.Failed, err)
	}
	s.conn.Close()
}

func (s protocol) Abort(st *stream, err error) { st.abort(recv.Discarding, err) }

func (s protocol) Refuse(st *stream, err error) {
	s.Mu.Lock()
	delete(s.streams, st.cs.ID())
	s.acceptedLocked()
	s.Mu.Unlock()
	st.refuse(err)
}

func (s protocol) WakeLocked() { s.shut() }

func (s protocol) EndedLocked() {
	s.watch.stop()
	if s.patient != nil {
		s.patient.Stop()
	}
	if s.peerCloses.late != nil {
		s.peerCloses.late.Stop()
	}
}

// LiveLocked returns the streams that the user has not closed.
func (s protocol) LiveLocked() []*stream { return slices.Collect(maps.Values(s.streams)) }

// peerCloses is what must arrive before a closing peer is told that everything has.
// Guarded by life.Session.Mu.
type peerCloses struct {
	begun   bool
	told    bool              // that everything has arrived
	opened  uint64            // streams
	written map[uint64]uint64 // bytes of streams that will not be finished
	awaited int               // streams with something missing
	late    *time.Timer       // ends the session, after told; or nil
}

// peerIsClosing fetches everything that m says is on its way.
func (s *session) peerIsClosing(m *closing) error {
	s.Mu.Lock()
	p := &s.peerCloses
	if p.begun {
		s.Mu.Unlock()
		return fmt.Errorf("%w: peer closes the session twice", mux.ErrProtocol)
	}
	p.begun, p.opened, p.written = true, m.opened, m.unfinished
	s.peerLeavesLocked()
	for _, st := range s.streams {
		s.awaitLocked(st)
	}
	s.answerClosingLocked()
	s.Mu.Unlock()
	return nil
}

// awaitLocked fetches st, if the peer is closing.
func (s *session) awaitLocked(st *stream) {
	p := &s.peerCloses
	if !p.begun || s.StateLocked() >= life.Closing {
		return
	}
	p.awaited++
	want := uint64(math.MaxUint64) // until it is finished
	if n, ok := p.written[st.cs.ID()]; ok {
		want = n
	}
	s.WG.Go(func() { st.await(want) })
}

// arrivedWhole notes that a stream has arrived completely.
func (s *session) arrivedWhole() {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.peerCloses.awaited--
	s.answerClosingLocked()
}

// answerClosingLocked tells a closing peer when nothing is missing. If this end closes
// too, it does not wait for the rest, which nobody will read.
func (s *session) answerClosingLocked() {
	p := &s.peerCloses
	if p.begun && !p.told && (s.StateLocked() >= life.Closing || p.awaited == 0 && s.arrived >= p.opened) {
		p.told = true
		s.sayLocked(func(c *control) { c.closed = true })
		if s.StateLocked() < life.Closing {
			p.late = time.AfterFunc(farewell, func() { s.End(s.lost(mux.ErrClosedByPeer)) })
		}
	}
}

// peerHasAll wakes Close.
func (s *session) peerHasAll() error {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if s.StateLocked() < life.Closing {
		return fmt.Errorf("%w: peer answers a question that was not asked", mux.ErrProtocol)
	}
	select {
	case <-s.control.answered:
	default:
		close(s.control.answered)
	}
	return nil
}
