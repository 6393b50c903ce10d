package qmux

import "slices"

// Outgoing are the streams that are opened on this end. Guarded by session.mu.
type outgoing struct {
	unnamed  []*Stream // that wait for an id, in order
	named    uint64    // streams that have one; the index of the next
	accepted uint64    // of those, as the peer says
	unended  int       // streams that are closed, but the peer has not ended them
}

// opened is how many streams have been opened.
func (o *outgoing) opened() uint64 { return o.named + uint64(len(o.unnamed)) }

// maxUnended bounds outgoing.unended. A peer of this library allows fewer. Another may
// allow any number, and end none.
const maxUnended = 1 << 15

// mayOpenLocked reports whether the peer has room for another stream. One that does
// not say what it has accepted says how many it takes instead, by MAX_STREAMS.
func (s *session) mayOpenLocked() bool {
	o := &s.outgoing
	backlog := uint64(max(s.config.AcceptBacklog, 0))
	switch {
	case s.peer == nil:
		return o.opened() < backlog
	case o.unended >= maxUnended:
		return false
	case o.opened() >= s.peer.maxStreams:
		return false
	case s.peer.extended():
		return o.opened()-o.accepted < backlog
	}
	return true
}

func (s *session) openLocked() *Stream {
	st := newStream(s)
	s.inUse++
	s.outgoing.unnamed = append(s.outgoing.unnamed, st)
	if s.peer != nil {
		s.nameLocked()
	}
	s.measureFirstLocked()
	return st
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
