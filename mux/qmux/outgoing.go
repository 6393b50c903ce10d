package qmux

import (
	"context"
	"slices"
)

// Outgoing are the streams that are opened on this end. Guarded by session.Mu.
type outgoing struct {
	unnamed  []*stream // that wait for an id, in order
	named    uint64    // streams that have one; the index of the next
	accepted uint64    // of those, as the peer says
	unended  int       // streams that are closed, but the peer has not ended them
}

// opened is how many streams have been opened.
func (o *outgoing) opened() uint64 { return o.named + uint64(len(o.unnamed)) }

// maxUnended bounds outgoing.unended. A peer of this library allows fewer. Another may
// allow any number, and end none.
const maxUnended = 1 << 15

// MayOpenLocked reports whether the peer has room for another stream. One that does
// not say what it has accepted says how many it takes instead, by MAX_STREAMS.
func (s protocol) MayOpenLocked() (bool, error) {
	o := &s.outgoing
	backlog := uint64(max(s.Config.AcceptBacklog, 0))
	switch {
	case s.peer == nil:
		return o.opened() < backlog, nil
	case o.unended >= maxUnended, o.opened() >= s.peer.maxStreams:
		return false, nil
	case s.peer.extended():
		return o.opened()-o.accepted < backlog, nil
	}
	return true, nil
}

// OpenLocked opens a stream. Before the peer's parameters are known it has no id.
func (s protocol) OpenLocked(context.Context) (*stream, error) {
	st := newStream(s.session)
	s.outgoing.unnamed = append(s.outgoing.unnamed, st)
	if s.peer != nil {
		s.nameLocked()
	}
	return st, nil
}

// nameLocked gives ids to the streams that wait for one, as far as the peer lets it.
// The peer learns of each by its first frame, in the order of the ids.
func (s *session) nameLocked() {
	o := &s.outgoing
	for len(o.unnamed) > 0 && o.named < s.peer.maxStreams {
		st := o.unnamed[0]
		o.unnamed = slices.Delete(o.unnamed, 0, 1)
		st.id, st.named = s.side.id(o.named), true
		o.named++
		s.flight.joinLocked(st, s.peer.initialMaxStreamDataBidiRemote)
		s.streams[st.id] = st
		s.out.unannounced = append(s.out.unannounced, st)
		if st.pending != 0 {
			s.control.streams = append(s.control.streams, st)
		}
		s.sendLocked(st)
		s.flushLocked()
	}
}
