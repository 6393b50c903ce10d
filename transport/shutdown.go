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
// clients are refused with status 503 and a Retry-After header.
//
// Each client is told to move at a moment of its own, so that they do not arrive
// elsewhere all at once ([WithDrainSpread]). One with [WithReconnect] connects
// anew, and can be dialled where it arrives, before it leaves; its connections go on
// in the old session until they are closed. If it finds no other server, its session
// goes on for 10 s, or until that is of no use: all clients have tried in vain, four times
// at least in all, and none has moved. So it is when this server has the only socket that
// they can reach; examples/deploy hands that to the next one. A client that cannot move,
// because it has no WithReconnect or does not negotiate, as wslis does not, is closed at
// that moment. A client is dialled here until
// it has moved, or is not waited for any more: then Dial fails with [ErrDraining]. In any
// case a session waits for its connections in use. One that an [http.Transport] keeps for
// later is in use: see [Dialer.Draining].
//
// In the end Shutdown stops listening, so that ListenAndServe returns, and waits
// until the handlers have returned. When ctx ends first, it cuts what is left and
// returns ctx's error. A quarter of the time that ctx leaves is for clients to be
// told, another for them to move, and the rest for their connections. A handler that
// calls Shutdown waits for itself.
func (s *Server) Shutdown(ctx context.Context) error {
	dialers := s.refuseClients()
	spread := s.drainSpread(ctx, len(dialers))
	e := newExodus(dialers...)
	err := eachAtOnce(dialers, func(d *Dialer) error { return d.shutdown(ctx, e, rand.N(spread)) })
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

// drainSpread is over how long so many clients are asked to move.
func (s *Server) drainSpread(ctx context.Context, clients int) time.Duration {
	spread := s.config.drainSpread
	if spread == 0 {
		spread = min(time.Duration(clients)*drainSpreadEach, defaultDrainSpread)
	}
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
	if !s.closing {
		s.closing = true
		close(s.refusing)
	}
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
