package nativemux

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/mux"
)

// The end of a session comes in one of two ways. Close tells the peer what it
// is to have, waits until the peer says that it has it, and only then closes
// the connection, because that makes both ends throw away what was not read.
// Everything else goes straight to end.

// hope is how long Close waits on behalf of a peer that cannot say that it has
// everything.
const hope = 200 * time.Millisecond

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// Close implements [mux.Session].
func (s *session) Close() error {
	s.close(s.config.Linger)
	return nil
}

func (s *session) close(linger time.Duration) {
	s.mu.Lock()
	first := !s.closing && s.err == nil
	if first {
		s.closing = true
		s.wakeLocked()
	}
	live := s.liveLocked()
	s.mu.Unlock()
	if first {
		for _, st := range live {
			st.abort(errSessionClosed, true)
		}
		if linger > 0 {
			s.linger(live, linger)
		}
		s.end(errSessionClosed)
	}
	<-s.ctx.Done()
	s.wg.Wait()
}

// linger waits for d at most until the peer has what was written. live are the
// streams that were not closed.
func (s *session) linger(live []*stream, d time.Duration) {
	written := make(map[uint64]uint64, len(live))
	for _, st := range live {
		if n, ok := st.unfinished(); ok {
			written[st.cs.ID()] = n
		}
	}
	ctx, cancel := context.WithTimeout(s.ctx, d)
	defer cancel()
	if !s.listenSide && !s.awaitHello(ctx) {
		return
	}
	s.mu.Lock()
	s.sayLocked(func(c *control) { c.closing = &closing{s.announced, written} })
	s.answerClosingLocked()
	s.mu.Unlock()
	select {
	case <-s.control.answered:
	case <-ctx.Done():
	}
}

// awaitHello waits until the peer can be told something, and reports whether
// it can. Otherwise it has waited long enough for what was written to arrive,
// if all goes well.
func (s *session) awaitHello(ctx context.Context) bool {
	s.mu.Lock()
	nothing := s.announced == 0 && s.arrived == 0
	s.mu.Unlock()
	if nothing {
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

// end ends the session for the reason err, unless it is over already.
func (s *session) end(err error) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	if s.closing {
		err = errSessionClosed // whatever happened while Close was under way
	}
	s.err = err
	s.wakeLocked()
	live, keepalive := s.liveLocked(), s.keepalive
	s.mu.Unlock()
	keepalive.Stop()
	s.watch.stop()
	for _, st := range live { // before Close wakes them for a reason of its own
		st.abort(err, false)
	}
	s.conn.Close()
	s.cancel(err)
}

func (s *session) wakeLocked() {
	s.shut()
	s.opening.Broadcast()
	s.accepting.Broadcast()
	s.drained.Broadcast()
}

func (s *session) liveLocked() []*stream {
	return slices.Collect(maps.Values(s.streams))
}

// Shutdown implements [mux.Session].
func (s *session) Shutdown(ctx context.Context) error {
	for _, st := range s.drain() {
		st.refuse(errSessionClosed)
	}
	defer context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.drained.Broadcast()
	})()
	s.mu.Lock()
	for s.inUse > 0 && s.err == nil && !s.closing && ctx.Err() == nil {
		s.drained.Wait()
	}
	cut := s.inUse > 0 && ctx.Err() != nil
	s.mu.Unlock()
	if cut {
		s.close(0)
		return ctxerr.Of(ctx)
	}
	return s.Close()
}

// drain ends opening and accepting, and returns the streams that nobody will
// accept any more.
func (s *session) drain() (refused []*stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining || s.closing || s.err != nil {
		return nil
	}
	s.draining = true
	s.wakeLocked()
	s.sayLocked(func(c *control) { c.leaving = true })
	refused, s.accepts = s.accepts, nil
	for _, st := range refused {
		s.forgetLocked(st)
		s.acceptedLocked()
	}
	return refused
}

// peerCloses is what has to arrive before the peer, which closes the session,
// is told that it has. Guarded by session.mu.
type peerCloses struct {
	begun   bool
	told    bool              // that everything has arrived
	opened  uint64            // streams
	written map[uint64]uint64 // bytes, of those that will not be finished
	awaited int               // streams of which something is missing
}

// peerIsClosing has everything fetched that m says is on its way.
func (s *session) peerIsClosing(m *closing) error {
	s.mu.Lock()
	p := &s.peerCloses
	if p.begun {
		s.mu.Unlock()
		return fmt.Errorf("%w: peer closes the session twice", mux.ErrProtocol)
	}
	p.begun, p.opened, p.written = true, m.opened, m.unfinished
	s.peerLeaves = true
	s.opening.Broadcast()
	s.shut()
	for _, st := range s.streams {
		s.awaitLocked(st)
	}
	s.answerClosingLocked()
	s.mu.Unlock()
	return nil
}

// awaitLocked has st fetched, if the peer is closing.
func (s *session) awaitLocked(st *stream) {
	p := &s.peerCloses
	if !p.begun || s.closing || s.err != nil {
		return
	}
	p.awaited++
	want := uint64(math.MaxUint64) // until it is finished
	if n, ok := p.written[st.cs.ID()]; ok {
		want = n
	}
	s.wg.Go(func() { st.await(want) })
}

// arrivedWhole notes that nothing of a stream is missing any more.
func (s *session) arrivedWhole() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peerCloses.awaited--
	s.answerClosingLocked()
}

// answerClosingLocked tells a peer that closes the session when nothing is
// missing. If this end closes it too, nobody will read what is.
func (s *session) answerClosingLocked() {
	p := &s.peerCloses
	if p.begun && !p.told && (s.closing || p.awaited == 0 && s.arrived >= p.opened) {
		p.told = true
		s.sayLocked(func(c *control) { c.closed = true })
	}
}

// peerHasAll lets Close go on.
func (s *session) peerHasAll() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		return fmt.Errorf("%w: peer answers what was not asked", mux.ErrProtocol)
	}
	select {
	case <-s.control.answered:
	default:
		close(s.control.answered)
	}
	return nil
}
