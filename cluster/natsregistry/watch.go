package natsregistry

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/backdial/backdial/cluster"
)

const (
	// notices is how many to one watcher wait to be read, at most.
	notices = 64

	// soon is after how long servers of the engine that are near have heard of a watcher,
	// and spread after how long all have.
	soon   = 50 * time.Millisecond
	spread = 250 * time.Millisecond
)

// Watch implements [cluster.Registry]. It looks for the client, too, in case that the
// engine has not heard of the watcher yet: when it begins, and when the engine has come
// back, and twice shortly after. So it may tell of a session that has begun before.
func (r *Registry) Watch(ctx context.Context, id string) (<-chan cluster.Claim, error) {
	if err := cluster.CheckID(id); err != nil {
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

// A watch is a Watch that goes on.
type watch struct {
	r      *Registry
	id     string
	claims chan cluster.Claim // to its user
	found  chan cluster.Claim // where it was looked for
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

// look looks for the latest session of the client, while others go on.
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

// tell sends a claim to the user, in place of one that was not received.
func (w *watch) tell(c cluster.Claim) {
	w.last = c
	select {
	case <-w.claims:
	default:
	}
	w.claims <- c
}
