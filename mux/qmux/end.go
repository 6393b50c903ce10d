package qmux

import (
	"maps"
	"slices"
	"time"

	"github.com/backdial/backdial/internal/powers"
	"github.com/backdial/backdial/mux/internal/recv"
)

// farewell is how long an ending session goes on: for a peer that broke the protocol to
// take the message that says so, or for this end to read what has arrived on a carrier
// that can no longer be written.
const farewell = time.Second

// Farewell sends everything that was written and CONNECTION_CLOSE. If the connection has
// CloseWrite, it then waits until the peer has taken everything and closes its end. Only
// then may the connection be closed: closing it with unread input makes TCP throw away
// what is still on its way.
func (s protocol) Farewell([]*stream) {
	if s.flush() && s.sayGoodbye(&ConnectionError{Application: true}) {
		<-s.read
	}
}

// flush waits until everything that can be written has been, including what was kept for
// later. It reports whether it succeeded.
func (s *session) flush() bool {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	for (s.writer.Busy() || s.unfinished > 0 || len(s.control.messages) > 0) && s.ErrLocked() == nil && !s.writer.Muted() {
		s.flushed.Wait()
	}
	return s.ErrLocked() == nil && !s.writer.Muted()
}

// sayGoodbye tells the peer why the session ends, and that nothing more follows. It
// reports whether the connection could say that, so that there is something to wait for.
func (s *session) sayGoodbye(e *ConnectionError) bool {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.control.goodbye = e
	return s.awaitWriterLocked() && s.writer.WriteLast()
}

// awaitWriterLocked waits until the writer has nothing to do, and reports whether that
// happened before the session ended.
func (s *session) awaitWriterLocked() bool {
	for s.writer.Busy() && s.ErrLocked() == nil {
		s.flushed.Wait()
	}
	return !s.writer.Busy()
}

// violation tells the peer that it broke the protocol, and ends the session. The reader
// calls it last.
func (s *session) violation(e *ConnectionError) { s.reproach(e, s.records.discard) }

// reproach tells the peer what it did wrong. It ends the session when heardOut returns,
// which waits until the peer has ended what it sends, or after farewell.
func (s *session) reproach(e *ConnectionError, heardOut func()) {
	late := time.AfterFunc(farewell, func() { s.End(s.lost(e)) })
	defer late.Stop()
	if s.sayGoodbye(e) {
		heardOut()
	}
	s.End(s.lost(e))
}

// answerEnd tells a peer that has finished sending that nothing more follows from here
// either, and waits until the peer ends the connection. If that takes longer than
// farewell, it ends the session with err.
func (s *session) answerEnd(err error) {
	late := time.AfterFunc(farewell, func() { s.End(err) })
	defer late.Stop()
	s.Mu.Lock()
	s.PeerLeavesLocked()
	s.writer.Mute() // finish the write that is under way
	written := s.awaitWriterLocked()
	s.Mu.Unlock()
	if c := powers.OfConn(s.conn.Conn).CloseWriter; c != nil && written && c.CloseWrite() == nil {
		s.records.discard()
	}
}

// Cut closes the connection first, so that what was read before its end still arrives.
func (s protocol) Cut(live []*stream, err error) {
	s.conn.Close()
	s.budget.Close()
	for _, st := range live {
		st.abort(recv.Failed, err)
	}
}

func (s protocol) Abort(st *stream, err error) { st.abort(recv.Discarding, err) }

func (s protocol) Refuse(st *stream, err error) {
	s.Mu.Lock()
	st.closed = true
	s.giveUpLocked(st, codeRefused)
	s.acceptedLocked(st)
	s.checkOverLocked(st)
	s.Mu.Unlock()
	st.abort(recv.Discarding, err)
}

func (s protocol) WakeLocked() {
	s.flushed.Broadcast()
	s.writer.Wake()
	s.budget.Role.Keep()
}

func (s protocol) EndedLocked() {
	s.greeting.stop()
	s.watchdog.restLocked()
}

// LiveLocked returns the streams that are in use on either end.
func (s protocol) LiveLocked() []*stream {
	return slices.AppendSeq(slices.Clone(s.outgoing.unnamed), maps.Values(s.streams))
}
