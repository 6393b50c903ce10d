package transport

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/backdial/backdial/internal/ctxerr"
)

// Close stops listening, ends all sessions and cuts their connections. It waits for a few
// seconds at most until clients have what was written before, and for [Trace.ClientGone]. It
// does not wait for handlers.
func (s *Server) Close() error {
	dialers := s.refuseClients()
	s.stopListening()
	eachAtOnce(dialers, (*Dialer).Close)
	s.sessions.Wait()
	return nil
}

// Shutdown ends all sessions without cutting connections. From its beginning, the server
// refuses new clients with status 503 and a Retry-After header.
//
// It asks each client to move at a moment of its own, so that they do not all arrive elsewhere
// at once ([WithDrainSpread]). A client with [WithReconnect] first connects to another server,
// where it can be dialled from then on, and then leaves this one. Its connections here go on
// until they are closed. This server dials the client until it has moved, or Shutdown stops
// waiting for that; then Dial fails with [ErrDraining].
//
// A client that finds no other server keeps its session for 10 s, or until waiting is
// pointless: all clients have tried in vain, at least four times in all, and none has moved.
// That is so when this server has the only socket that they can reach; examples/deploy hands
// the socket to the next server. A client that cannot move, because it has no WithReconnect or
// does not negotiate, as wslis does not, has its session closed at its moment.
//
// Every session waits for its connections in use. A connection that an [http.Transport] keeps
// idle counts as in use: see [Dialer.Draining].
//
// At the end Shutdown stops listening, so that ListenAndServe returns, and waits until the
// handlers have returned. If ctx ends first, Shutdown cuts what is left and returns ctx's
// error. Of the time until ctx's deadline it spends a quarter at most on asking clients,
// another on waiting for them to move, and the rest on their connections. A handler must not
// call Shutdown, which waits for it.
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

// drainSpread returns how long it takes to ask so many clients to move.
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

// refuseClients makes the server refuse new clients, and returns those that are connected.
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

// eachAtOnce calls end with all of them concurrently, and returns the first error when all
// calls have returned.
func eachAtOnce[T any](all []T, end func(T) error) error {
	if len(all) == 1 { // the usual case of a listener
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
