package transport

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/backdial/backdial/internal/ctxerr"
)

// Close stops listening, ends all sessions and cuts their connections. It
// waits for a few seconds at most until clients have what was written before,
// and for [Trace.ClientGone], but not for handlers.
func (s *Server) Close() error {
	dialers := s.refuseClients()
	s.stopListening()
	eachAtOnce(dialers, (*Dialer).Close)
	s.sessions.Wait()
	return nil
}

// Shutdown ends all sessions without cutting anything. From the beginning, new
// clients are refused with status 503 and a Retry-After header, and Dial fails
// with [ErrDraining].
//
// Each client is told to move at a moment of its own, so that they do not arrive
// elsewhere all at once ([WithDrainSpread]). One with [WithReconnect] connects
// anew before it leaves; its connections go on in the old session until they are
// closed. A client that does not move, or does not negotiate, as wslis does not, is
// not waited for. When the connections in use of a session have been closed, the
// session is. A connection that an [http.Transport] keeps for later is in use: call
// its CloseIdleConnections when [Dialer.Draining] is closed.
//
// In the end Shutdown stops listening, so that ListenAndServe returns, and waits
// until the handlers have returned. When ctx ends first, it cuts what is left and
// returns ctx's error. A handler that calls it waits for itself.
func (s *Server) Shutdown(ctx context.Context) error {
	dialers := s.refuseClients()
	for _, d := range dialers {
		d.leaving.start()
	}
	spread := s.drainSpread(ctx)
	err := eachAtOnce(dialers, func(d *Dialer) error { return d.leave(ctx, rand.N(spread)) })
	s.stopListening()
	handled := make(chan struct{})
	go func() { // ends with the last handler
		s.sessions.Wait()
		s.handlers.Wait()
		close(handled)
	}()
	select {
	case <-handled:
		return err
	case <-ctx.Done():
		return ctxerr.Of(ctx)
	}
}

// drainSpread is over how long clients are asked to move: a quarter of what ctx
// leaves at most. They have another to do it, and then half for their connections
// to end.
func (s *Server) drainSpread(ctx context.Context) time.Duration {
	spread := s.config.drainSpread
	if deadline, ok := ctx.Deadline(); ok {
		spread = min(spread, time.Until(deadline)/4)
	}
	return max(spread, 1)
}

// refuseClients lets no new clients in, and returns those that are there.
func (s *Server) refuseClients() []*Dialer {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	return slices.Collect(maps.Keys(s.dialers))
}

func (s *Server) stopListening() {
	s.mu.Lock()
	endpoints := slices.Collect(maps.Keys(s.endpoints))
	s.mu.Unlock()
	closeAll(endpoints)
}

// eachAtOnce calls end with all of them at the same time, and returns the first
// error when all are done.
func eachAtOnce[T any](all []T, end func(T) error) error {
	if len(all) == 1 { // as most listeners have it
		return end(all[0])
	}
	ended := make(chan error, len(all))
	for _, one := range all {
		go func() { ended <- end(one) }()
	}
	var first error
	for range all {
		if err := <-ended; first == nil {
			first = err
		}
	}
	return first
}
