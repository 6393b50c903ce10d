// Package finite makes a multiplexer whose stream ids are used up soon.
package finite

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	"github.com/backdial/backdial/mux"
)

// A Muxer makes sessions with another muxer. On the dial side, the first one can open
// only a few streams.
type Muxer struct {
	mux.Muxer

	// Streams is how many streams that session opens in total. It calls OnExhausting when
	// Reserve of them are left.
	Streams, Reserve int

	began atomic.Bool
}

// DialSide implements [mux.Muxer].
func (m *Muxer) DialSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	s, err := m.Muxer.DialSide(conn, config)
	if err != nil || m.began.Swap(true) {
		return s, err
	}
	return &session{Session: s, left: m.Streams, reserve: m.Reserve, exhausting: config.OnExhausting}, nil
}

type session struct {
	mux.Session
	reserve    int
	exhausting func()

	mu   sync.Mutex // guards below
	left int
}

// Open implements [mux.Session].
func (s *session) Open(ctx context.Context) (mux.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 {
		return nil, mux.ErrGoAway
	}
	if s.left--; s.left == s.reserve {
		go s.exhausting()
	}
	return s.Session.Open(ctx)
}
