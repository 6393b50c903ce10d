package qmux

import (
	"context"
	"slices"
)

// outgoing tracks the streams that this end opens. Guarded by session.Mu.
type outgoing struct {
	unnamed  []*stream // waiting for an id, in order
	named    uint64    // how many have one; the index of the next
	accepted uint64    // how many of those the peer has accepted
	unended  int       // closed here, but not yet ended by the peer
}

// openedLocked is how many streams this end has opened.
func (o *outgoing) openedLocked() uint64 { return o.named + uint64(len(o.unnamed)) }

// maxUnended bounds outgoing.unended. A peer of this library allows fewer. Another may
// allow any number and end none.
const maxUnended = 1 << 15

// MayOpenLocked reports whether the peer has room for another stream. A peer that does
// not report what it has accepted limits streams by MAX_STREAMS instead.
func (s protocol) MayOpenLocked() (bool, error) {
	o := &s.outgoing
	backlog := uint64(max(s.Config.AcceptBacklog, 0))
	switch {
	case s.peer == nil:
		return o.openedLocked() < backlog, nil
	case o.unended >= maxUnended, o.openedLocked() >= s.peer.maxStreams:
		return false, nil
	case s.peer.extended():
		return o.openedLocked()-o.accepted < backlog, nil
	}
	return true, nil
}

// OpenLocked opens a stream. It gets no id before the peer's parameters are known.
func (s protocol) OpenLocked(context.Context) (*stream, error) {
	st := newStream(s.session)
	s.outgoing.unnamed = append(s.outgoing.unnamed, st)
	if s.peer != nil {
		s.nameLocked()
	}
	return st, nil
}

// nameLocked gives ids to waiting streams, as far as the peer allows. The peer learns of
// each by its first frame, in the order of the ids.
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
