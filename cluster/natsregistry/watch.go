package natsregistry

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/fleet"
)

const (
	// notices is how many messages to one watcher may wait to be read.
	notices = 64

	// soon is how long it takes nearby servers of the engine to hear of a watcher, and spread
	// how long it takes all of them.
	soon   = 50 * time.Millisecond
	spread = 250 * time.Millisecond
)

// Watch implements [cluster.Registry]. It also locates the client, in case the engine has not
// heard of the watcher yet: when it begins, when the engine has come back, and twice shortly
// after either. So it may report a session that began earlier.
func (r *Registry) Watch(ctx context.Context, id string) (<-chan cluster.Claim, error) {
	if err := fleet.CheckID(id); err != nil {
		return nil, fmt.Errorf("natsregistry: watch: %w", err)
	}
	w := &watch{r: r, id: id, claims: make(chan cluster.Claim, 1), found: make(chan cluster.Claim)}
	ctx, w.cancel = context.WithCancel(ctx)
	if !r.start(func() { w.run(ctx) }) {
		w.cancel()
		return nil, fmt.Errorf("natsregistry: watch %q: %w", id, net.ErrClosed)
	}
	return w.claims, nil
}

// A watch is a Watch in progress.
type watch struct {
	r      *Registry
	id     string
	claims chan cluster.Claim // to its user
	found  chan cluster.Claim // from look
	last   cluster.Claim
	cancel context.CancelFunc
}

func (w *watch) run(ctx context.Context) {
	defer w.cancel()
	noticed := make(chan *nats.Msg, notices)
	sub, err := w.r.nc.ChanSubscribe(w.r.subjects.attached+token(w.id), noticed)
	if err != nil {
		return // the registry is closed
	}
	defer sub.Unsubscribe()
	up, changed, _ := w.r.link.state()
	if up {
		w.look(ctx)
	}
	later, both := time.NewTimer(soon), false
	defer later.Stop()
	for {
		select {
		case msg := <-noticed:
			if m, err := decode(msg.Data); err == nil && !m.None {
				w.tell(m.of(w.id))
			}
		case c := <-w.found:
			if w.last.Node.Run == "" || c.Since.After(w.last.Since) {
				w.tell(c)
			}
		case <-later.C:
			w.look(ctx)
			if !both {
				both = true
				later.Reset(spread - soon)
			}
		case <-changed:
			if up, changed, _ = w.r.link.state(); up {
				w.look(ctx)
				later.Reset(distrust) // when the others are back, too
			}
		case <-ctx.Done():
			return
		case <-w.r.ctx.Done():
			return
		}
	}
}

// look locates the latest session of the client, in a goroutine.
func (w *watch) look(ctx context.Context) {
	w.r.start(func() {
		c, err := w.r.locate(ctx, w.id, &tally{patient: true, trusted: w.r.link.isTrusted})
		if err != nil {
			return
		}
		select {
		case w.found <- c:
		case <-ctx.Done():
		}
	})
}

// tell sends a claim to the user, in place of one that the user has not received.
func (w *watch) tell(c cluster.Claim) {
	w.last = c
	select {
	case <-w.claims:
	default:
	}
	w.claims <- c
}
