package muxlib

import (
	"context"
	"net"
	"time"

	"github.com/backdial/backdial/mux/internal/life"
)

// MayAcceptLocked asks the library for a stream if none is there.
func (s protocol) MayAcceptLocked() bool {
	if _, waiting := s.FromPeerLocked(); waiting == 0 {
		s.wanted = true
		s.changed.Broadcast()
	}
	return true
}

func (s protocol) AcceptedLocked(st *stream) {
	if a, ok := st.inner.(Accepter); ok {
		a.Accepted()
	}
}

// acceptLoop takes streams from the library, which may have no room to keep them.
func (s *session) acceptLoop() {
	for {
		s.awaitWanted()
		inner, err := s.inner.Accept()
		if err != nil {
			s.End(s.Lost(s.meaning(err)))
			return
		}
		if err := s.arrived(inner); err != nil {
			s.End(s.Lost(err))
		}
	}
}

// awaitWanted waits until the user wants a stream, if the library tells its peer what was
// accepted.
func (s *session) awaitWanted() {
	if s.library.Backlog && s.Config.MaxStreams >= 0 {
		s.await(s.Context(), func() bool {
			return s.wanted || s.losing || s.end.closed.Load() || s.StateLocked() != life.Serving
		})
		s.Mu.Lock()
		defer s.Mu.Unlock()
		s.wanted = false
	}
}

// arrived admits a stream that the peer has opened, or refuses it.
func (s *session) arrived(inner net.Conn) error {
	st := newStream(s, inner, true)
	s.Mu.Lock()
	admitted, err := s.AdmitLocked()
	if admitted {
		s.streams[st] = struct{}{}
		s.ArrivedLocked(st)
	}
	s.accepted++
	s.changed.Broadcast()
	s.Mu.Unlock()
	if !admitted {
		giveUp(inner) // not in the background: a peer that does not read must wait
	}
	return err
}

// lost ends the session with err once all streams that had arrived have been accepted.
func (s *session) lost(err error) {
	s.Mu.Lock()
	closes := s.StateLocked() == life.Closing
	s.Mu.Unlock()
	if closes {
		return // Close ends the session
	}
	s.awaitArrivals()
	s.End(s.Lost(err))
}

// farewell is how long an ending session goes on, so that the user gets what has arrived.
const farewell = time.Second

func (s *session) awaitArrivals() {
	s.Mu.Lock()
	s.losing = true
	s.changed.Broadcast()
	inner, ok := s.inner.(framed)
	s.Mu.Unlock()
	if !ok {
		return
	}
	total := inner.frames().streams.total()
	ctx, cancel := context.WithTimeout(s.Context(), farewell)
	defer cancel()
	s.await(ctx, func() bool { return s.accepted >= total })
}
