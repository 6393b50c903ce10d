package transport

import (
	"context"
	"fmt"
	"time"

	"github.com/backdial/backdial/mux"
)

// A probe asks the peer of a session for signs of life, in a goroutine, until end is called. A
// peer that does not do what it was asked to may be silent: a probe knows before the keepalive
// does.
type probe struct {
	session *session
	cancel  context.CancelFunc
	ended   chan struct{} // closed when the goroutine ends
	asked   time.Time     // when it sent the question that has no answer yet
}

const (
	// probePause is how long a probe leaves a peer alone that has answered.
	probePause = 2 * time.Second

	// minSilence is how long a peer has to answer.
	minSilence = 2 * time.Second
)

// probe begins a probe. It returns nil for a peer that does not negotiate, which gets no
// message before the end of its session.
func (s *session) probe() *probe {
	if s.info.Protocol == "" {
		return nil
	}
	ctx, cancel := context.WithCancel(s.mux.Context())
	p := &probe{session: s, cancel: cancel, ended: make(chan struct{})}
	go p.run(ctx)
	return p
}

func (p *probe) run(ctx context.Context) {
	defer close(p.ended)
	for ctx.Err() == nil {
		p.asked = time.Now()
		if p.session.mux.Ping(ctx) != nil {
			return
		}
		p.asked = time.Time{}
		sleep(ctx, nil, probePause)
	}
}

// end ends the probe, which may be nil. It returns an error that matches mux.ErrSilent if the
// peer does not answer. That does not apply to a peer that has never answered: some answer no
// pings.
func (p *probe) end() error {
	if p == nil {
		return nil
	}
	p.cancel()
	<-p.ended
	silence := time.Since(p.asked)
	if p.asked.IsZero() || silence < minSilence || p.session.mux.RoundTrip() == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w: no answer for %v", mux.ErrSessionEnded, mux.ErrSilent, silence.Round(time.Second))
}
