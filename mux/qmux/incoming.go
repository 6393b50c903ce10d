package qmux

import (
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/life"
	"github.com/backdial/backdial/mux/internal/recv"
)

// incoming tracks the streams that the peer opens. Guarded by session.Mu.
type incoming struct {
	arrived indexSet

	limit    uint64 // how many streams the peer may open, ever, as it knows
	accepted uint64 // streams that were accepted or refused
	over     uint64 // accepted streams on which neither end has more to say

	reported    uint64 // accepted, as last told to the peer
	reportEvery uint64 // tell the peer after so many, in time for an Open that waits
}

// maxRefused is how many streams a peer that may open none can try to open before it
// loses the session.
const maxRefused = 100

// incomingLimitLocked is how many streams the peer may open, ever, and how many that
// would be with none in use. A peer that knows the extension itself limits how many wait
// to be accepted, and has the excess refused; any other peer is limited here. In both
// cases a stream makes room for another only when it has been accepted and is over, so
// opening and resetting streams cannot exceed the limit.
func (s *session) incomingLimitLocked() (limit, unused uint64) {
	return s.incoming.limits(&s.Config, s.peer.extended())
}

func (in *incoming) limits(c *mux.Config, extended bool) (limit, unused uint64) {
	streams, backlog := uint64(max(c.MaxStreams, 0)), uint64(max(c.AcceptBacklog, 0))
	if extended {
		unused = streams + backlog + life.MaxUnwanted
		return in.over + unused, unused
	}
	return min(in.over+streams, in.accepted+backlog), min(streams, backlog)
}

// grantStreamsLocked lets the peer open more streams once that is worth a frame. It does
// nothing while the peer may already open as many as can wait to be accepted.
func (s *session) grantStreamsLocked() {
	in := &s.incoming
	limit, unused := s.incomingLimitLocked()
	enough := max(min(unused, uint64(max(s.Config.AcceptBacklog, 0))), 1)
	if s.peer == nil || limit < in.limit+max(unused/4, 1) || in.limit-in.arrived.next >= enough {
		return
	}
	in.limit = limit
	s.control.maxStreams = true
	s.flushLocked()
}

// acceptedLocked notes that the peer's stream st no longer waits to be accepted.
func (s *session) acceptedLocked(st *stream) {
	in := &s.incoming
	st.accepted = true
	in.accepted++
	if st.over {
		s.vacatedLocked(st)
	}
	if s.peer.extended() && in.accepted-in.reported >= in.reportEvery {
		in.reported = in.accepted
		s.control.accepted = true
		s.flushLocked()
	}
	s.grantStreamsLocked()
}

// vacatedLocked notes that neither end has more to say on the peer's accepted stream st.
// The peer may open another even before this end calls Close.
func (s *session) vacatedLocked(st *stream) {
	s.incoming.over++
	if !st.closed {
		s.VacatedLocked()
	}
}

// streamLocked returns the stream that a frame of type typ is about, or nil if the stream
// is over. The peer's first frame of a stream creates it.
func (s *session) streamLocked(id uint64, typ frameType) (*stream, error) {
	if st := s.streams[id]; st != nil {
		return st, nil
	}
	index := id >> idBits
	switch {
	case s.side.opens(id):
		if id&bitUni != 0 || index >= s.outgoing.named {
			return nil, violation(streamStateError, typ, "frame for stream %d, which this end has not opened", id)
		}
		return nil, nil
	case id&bitUni != 0 && (typ == frameStopSending || typ == frameMaxStreamData):
		return nil, violation(streamStateError, typ, "frame for the wrong direction of stream %d", id)
	case id&bitUni != 0:
		return nil, violation(streamLimitError, typ, "unidirectional stream %d, but none is allowed", id)
	case index >= s.incoming.limit:
		return nil, violation(streamLimitError, typ, "stream %d, but only %d are allowed", id, s.incoming.limit)
	case !s.incoming.arrived.add(index):
		return nil, nil
	}
	return s.arriveLocked(id, typ)
}

// arriveLocked creates a stream that the peer opens, or refuses it if there are too many.
func (s *session) arriveLocked(id uint64, typ frameType) (*stream, error) {
	admitted, err := s.AdmitLocked()
	if err != nil {
		return nil, violation(streamLimitError, typ, "%v", err)
	}
	s.grantStreamsLocked()
	st := newStream(s)
	st.id, st.named, st.announced, st.incoming = id, true, true, true
	s.flight.joinLocked(st, s.peer.initialMaxStreamDataBidiLocal)
	s.streams[id] = st
	if admitted {
		s.ArrivedLocked(st)
		return st, nil
	}
	st.closed, st.writeErr = true, errStreamClosed
	st.in.EndLocked(recv.Discarding, errStreamClosed)
	s.giveUpLocked(st, codeRefused)
	s.acceptedLocked(st)
	return st, nil
}
