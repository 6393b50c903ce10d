package transport

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// ErrDraining is matched by the error of Dial when the session takes no new
// connections, but those that are open go on: its client was asked to move to
// another session ([Server.Shutdown], [Dialer.Shutdown], [WithMaxAge]), or is
// shutting down itself.
var ErrDraining = errors.New("session is draining")

// moveGrace is how long a client has to move, beyond the delay that it was given:
// a handshake or two.
const moveGrace = 15 * time.Second

// Leaving is what becomes of a session that its server does not want any more.
type leaving struct {
	begin sync.Once
	began chan struct{} // closed by begin: Dial fails

	move  sync.Once
	moved chan struct{} // closed by move: the client has another session
	stays chan struct{} // has room for one; the client will not have another
}

func (l *leaving) init(c *control) {
	l.began, l.moved, l.stays = make(chan struct{}), make(chan struct{}), make(chan struct{}, 1)
	c.listen(func(m controlMessage) {
		switch m.kind {
		case controlMoved:
			l.move.Do(func() { close(l.moved) })
		case controlStaying:
			select {
			case l.stays <- struct{}{}:
			default:
			}
		}
	})
}

func (l *leaving) start() { l.begin.Do(func() { close(l.began) }) }

func (l *leaving) begun() bool {
	select {
	case <-l.began:
		return true
	default:
		return false
	}
}

// Draining is closed when the server has begun to drain the session: Dial fails
// with [ErrDraining]. Whoever keeps idle connections should close them now, the
// session waits for them ([http.Transport.CloseIdleConnections]).
//
// [http.Transport.CloseIdleConnections]: https://pkg.go.dev/net/http#Transport.CloseIdleConnections
func (d *Dialer) Draining() <-chan struct{} { return d.leaving.began }

// Shutdown asks the client to move to another session, makes Dial fail with
// [ErrDraining], waits until the client has moved, and until the connections in use
// have been closed, and closes the session. A client with [WithReconnect] connects
// anew before it leaves this session, so that it can be dialled all the time. When
// ctx ends first, Shutdown cuts what is left and returns ctx's error.
//
// A client that cannot move or does not answer is not waited for beyond 15 s, or
// half of the time that ctx leaves.
func (d *Dialer) Shutdown(ctx context.Context) error { return d.leave(ctx, 0) }

// leave is Shutdown of a client that is to move after a delay.
func (d *Dialer) leave(ctx context.Context, delay time.Duration) error {
	d.leaving.start()
	half, cancel := withHalf(ctx)
	d.askToMove(half, delay)
	cancel()
	return d.session.mux.Shutdown(ctx)
}

// withHalf returns a context that ends when half of ctx's time has passed.
func withHalf(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithTimeout(ctx, time.Until(deadline)/2)
	}
	return context.WithCancel(ctx)
}

// askToMove asks the client to move after a delay, and waits for its answer. It
// reports whether the client has moved.
func (d *Dialer) askToMove(ctx context.Context, delay time.Duration) bool {
	select {
	case <-d.leaving.stays: // an answer to an earlier question
	default:
	}
	if d.session.say(controlMessage{controlMove, delay}) != nil {
		return false
	}
	late := time.NewTimer(delay + moveGrace)
	defer late.Stop()
	select {
	case <-d.leaving.moved:
		return true
	case <-d.leaving.stays:
	case <-late.C:
	case <-ctx.Done():
	case <-d.Done():
	}
	return false
}

// expireLater has d replaced when it is nearly as old as a session may get, unless
// there is no limit. Clients that connected together do not come back together.
func (s *Server) expireLater(d *Dialer) *time.Timer {
	age := s.config.maxAge
	if age < 0 {
		return nil
	}
	begin := age/10*8 + rand.N(age/10+1)
	return time.AfterFunc(begin, func() { s.expire(d) })
}

// expire asks the client of d to move. If it does not, d is closed, but only if
// somebody has set an age.
func (s *Server) expire(d *Dialer) {
	if !s.work() {
		return
	}
	defer s.sessions.Done()
	ctx, cancel := context.WithDeadline(d.session.mux.Context(), d.session.info.Since.Add(s.config.maxAge))
	defer cancel()
	if d.askToMove(ctx, 0) || s.options.maxAge > 0 {
		d.leaving.start()
		d.session.mux.Shutdown(ctx)
	}
}

// work makes Close and Shutdown wait for sessions.Done, unless they are under way.
func (s *Server) work() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.sessions.Add(1)
	}
	return !s.closing
}
