package transport

import (
	"context"
	"math"
	"math/rand/v2"
	"time"
)

// expireLater expires d when it is nearly as old as a session may get, unless there is no
// limit. Clients that connected together do not come back together.
func (s *Server) expireLater(d *Dialer) *time.Timer {
	age := s.config.maxAge
	if age < 0 {
		return nil
	}
	begin := age/10*8 + rand.N(age/10+1)
	return time.AfterFunc(begin, func() { s.expire(d) })
}

// expire asks the client of d to move, and retires d when it has. What is left is cut at the
// age that the user has set. By default nothing is cut, and a client that cannot move stays.
func (s *Server) expire(d *Dialer) {
	if !s.holdSessions() {
		return
	}
	defer s.sessions.Done()
	ctx, patience := d.session.mux.Context(), time.Duration(math.MaxInt64)
	var asking *probe // nil unless its answer makes a difference
	insists := s.options.maxAge > 0
	if insists {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, d.session.info.Since.Add(s.config.maxAge))
		defer cancel()
		patience, asking = moveGrace, d.session.probe()
	}
	if moved := d.askToMove(ctx, 0, patience, nil); moved || insists {
		d.retire(ctx, moved, asking, EndTooOld)
		return
	}
	d.drain.asked.Store(false) // it stays: a new session is not its successor
}

// holdSessions makes Close and Shutdown wait for sessions.Done, and reports false if they are
// under way.
func (s *Server) holdSessions() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.sessions.Add(1)
	}
	return !s.closing
}
