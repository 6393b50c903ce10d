package qmux

import (
	"fmt"
	"io"
	"time"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/recv"
)

// The ends of a session greet each other with their transport parameters: in the first
// frame that they send, or while the carrier connects ([mux.Greeter]).
//
// In the latter case the client sends no such frame. The server puts one before whatever
// it sends first, which costs no write, because its answer to the handshake may have lost
// its greeting on the way. Then the client has not met the server, and does as if it had
// not been greeted.

var _ mux.Greeter = muxer{}

// Greeting implements [mux.Greeter].
func (m muxer) Greeting(config mux.Config) []byte {
	config = config.WithDefaults()
	var budget recv.Budget
	budget.Init(name, &config, nil, false)
	var in inflow
	in.init(&config, &budget)
	limit, _ := new(incoming).limits(&config, true)
	return parametersOf(&config, &in, limit).append(nil)
}

// CheckGreeting implements [mux.Greeter].
func (m muxer) CheckGreeting(b []byte) error {
	_, err := m.version.parseParameters(b)
	return err
}

// parametersOf returns the parameters of an end that takes what in allows, and limit streams.
func parametersOf(c *mux.Config, in *inflow, limit uint64) *parameters {
	return &parameters{
		initialMaxData:                 in.told(),
		initialMaxStreamDataBidiLocal:  uint64(c.Window),
		initialMaxStreamDataBidiRemote: uint64(c.Window),
		initialMaxStreamsBidi:          limit,
		maxRecordSize:                  maxRecordSize,
		backlog:                        uint64(max(c.AcceptBacklog, 1)),
	}
}

// greetingTime is how long a peer may take to send its parameters. Until then it occupies
// a place and holds what was written.
const greetingTime = 10 * time.Second

// greeting is how far the ends have greeted each other. Guarded by session.Mu.
type greeting struct {
	timer  *time.Timer // ends a session whose peer sends no parameters; nil if they were known before
	unsaid *parameters // what the first frame has to say, or nil
	again  bool        // the peer may still send a frame with its parameters, which are known
}

// greetLocked says what this end can take, and waits for what the peer can. If the ends have
// met, there is nothing to wait for, and met is what the peer can take.
func (s *session) greetLocked(met *parameters) {
	s.inflow.init(&s.Config, &s.budget)
	g := &s.greeting
	s.incoming.limit, _ = s.incoming.limits(&s.Config, met != nil)
	if met == nil || s.side == dialSide {
		g.unsaid = parametersOf(&s.Config, &s.inflow, s.incoming.limit)
	}
	if met != nil {
		g.again = true
		s.meetLocked(met)
		return
	}
	g.timer = time.AfterFunc(greetingTime, func() {
		s.End(s.lost(fmt.Errorf("%w: no transport parameters within %v", mux.ErrSilent, greetingTime)))
	})
	s.flushLocked()
}

// sayFirst puts into b what has to come before everything else.
func (g *greeting) sayFirst(v *version, b *batch) {
	if g.unsaid != nil {
		p := g.unsaid.append(nil)
		g.unsaid = nil
		b.frame(frame{typ: v.parameters}, p)
	}
}

// stop ends the wait for the peer's parameters.
func (g *greeting) stop() {
	if g.timer != nil {
		g.timer.Stop()
	}
}

// peer is the other end, as its transport parameters describe it.
type peer struct {
	parameters
	maxStreams uint64 // how many streams this end may open, ever
}

// extended reports whether the peer knows the extension.
func (p *peer) extended() bool { return p != nil && p.backlog > 0 }

// meetLocked notes the peer's parameters, and resumes everything that waited for them.
func (s *session) meetLocked(p *parameters) {
	s.greeting.stop()
	s.peer = &peer{parameters: *p, maxStreams: p.initialMaxStreamsBidi}
	s.out.meetLocked(p)
	if !s.peer.extended() {
		s.flight.window = p.initialMaxData
	}
	s.incoming.reportEvery = max(p.backlog/4, 1)
	s.grantStreamsLocked()
	s.nameLocked()
	s.WakeOpenLocked()
	s.fillLocked()
}

// handleParameters meets the peer. A peer that this end has met while the carrier connected
// may greet it again. It has not got this end's greeting then, if that is the server's.
func (s *session) handleParameters(f frame, r *recordReader) error {
	b := make([]byte, f.length)
	if _, err := io.ReadFull(r, b); err != nil {
		return cut(err)
	}
	p, err := s.version.parseParameters(b)
	if err != nil {
		return err
	}
	if s.peer == nil {
		defer s.keepBusy(p.maxIdleTimeout)
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	switch g := &s.greeting; {
	case g.again:
		g.again = false
		if g.unsaid != nil {
			s.flushLocked()
		}
	case s.peer != nil:
		return violation(protocolViolation, f.typ, "QX_TRANSPORT_PARAMETERS twice")
	default:
		s.writer.Hold()
		s.meetLocked(p)
		s.flushLocked()
		s.writer.Release()
	}
	return nil
}
