package muxlib

import (
	"maps"
	"slices"

	"github.com/backdial/backdial/mux/internal/life"
)

// protocol is a session as seen by package life.
type protocol struct{ *session }

var _ life.Protocol[*stream] = protocol{}

// PingLocked asks one question at a time.
func (s protocol) PingLocked() {
	pinger, ok := s.inner.(Pinger)
	if !ok || s.pinging || s.StateLocked() == life.Ended {
		return
	}
	s.pinging = true
	s.Pings.Asked()
	s.WG.Go(func() {
		err := pinger.Ping()
		s.Mu.Lock()
		defer s.Mu.Unlock()
		s.pinging = false
		if err == nil {
			s.AnsweredLocked(true)
		}
	})
}

func (s protocol) AskLocked() { s.PingLocked() }

// MustAnswerLocked allows for a peer of another library.
func (s protocol) MustAnswerLocked() bool { return s.HasAnsweredLocked() }

func (s protocol) StuckLocked() error { return s.Stuck(s.end.stuck()) }

func (s protocol) LeaveLocked() {
	leaver, ok := s.inner.(Leaver)
	if !ok {
		return
	}
	s.goLocked(func() { leaver.Leave() })
}

func (s protocol) Refuse(st *stream, err error) { st.refuse(err) }

func (s protocol) LiveLocked() []*stream { return slices.Collect(maps.Keys(s.streams)) }

func (s protocol) Abort(st *stream, err error) { st.abort(err) }

// Farewell waits until everything has left. If the connection has CloseWrite, it also
// waits until the peer has taken everything and closes its end.
func (s protocol) Farewell([]*stream) {
	ctx := s.Context()
	s.await(ctx, func() bool { return s.ending == 0 })
	if f, ok := s.inner.(Flusher); ok {
		f.Flush()
	}
	if ctx.Err() != nil || !s.end.closeWrite() {
		return
	}
	select {
	case <-s.end.read:
	case <-ctx.Done():
	}
}

func (s protocol) WakeLocked() {
	s.opens.overLocked()
	s.changed.Broadcast()
}

func (s protocol) EndedLocked() {
	if s.watch != nil {
		s.watch.Stop()
	}
}

// Cut closes the connection, which makes the library hand over what has arrived, and then
// closes the library's session.
func (s protocol) Cut(live []*stream, err error) {
	s.end.Conn.Close()
	for _, st := range live {
		st.lose(err)
	}
	s.Mu.Lock()
	inner := s.inner
	s.Mu.Unlock()
	if inner == nil {
		return // it has not started, and is closed if it does
	}
	s.WG.Go(func() {
		for _, st := range live {
			st.collect()
		}
		inner.Close()
	})
}
