package engine

import (
	"maps"
	"slices"
	"time"

	"github.com/backdial/backdial/mux/internal/recv"
)

// Farewell sends everything in the queue. If the connection has CloseWrite, it then waits
// until the peer has taken everything and closes its end. Only then may the connection be
// closed: closing it with unread input makes TCP throw away what is still on its way.
func (s protocol) Farewell([]*stream) {
	if s.seal(s.writer.WriteLast) {
		<-s.read
	}
}

// seal waits until everything queued has been written, or the session has ended. Then it
// calls lastLocked, after which nothing more is queued, and returns its result.
func (s *session) seal(lastLocked func() bool) bool {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	for s.writer.Busy() && s.ErrLocked() == nil {
		s.flushed.Wait()
	}
	said := !s.writer.Busy() && lastLocked()
	s.writer.Mute()
	s.taken.Broadcast()
	return said
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
	s.forgetLocked(st)
	s.Mu.Unlock()
	owner{st}.Abandon(err)
}

func (s protocol) WakeLocked() {
	s.taken.Broadcast()
	s.flushed.Broadcast()
	s.writer.Wake()
}

func (s protocol) EndedLocked() {}

// LiveLocked returns the streams that the user has not closed.
func (s protocol) LiveLocked() []*stream { return slices.Collect(maps.Values(s.streams)) }

// violation tells the peer that it broke the protocol and ends the session.
func (s *session) violation(err error) {
	s.Mu.Lock()
	if s.UseErrLocked() == nil {
		s.appendLocked(Frame{Kind: GoAway, Value: goAwayProtocol})
	}
	s.Mu.Unlock()
	late := time.AfterFunc(farewell, func() { s.End(s.lost(err)) })
	defer late.Stop()
	s.seal(func() bool { return false }) // the peer has not done this end in order
	s.End(s.lost(err))
}

// farewell is how long an ending session goes on: for a peer that broke the protocol to
// take the message that says so, or for this end to read what has arrived on a carrier
// that can no longer be written.
const farewell = time.Second
