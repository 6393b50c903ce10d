package natsregistry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/fleet"
)

const (
	// A request is sent again after firstResend, and twice that, and so on, and then every
	// lastResend: a request to a replica that has just crashed is lost, and one for a client
	// that is just connecting elsewhere finds no holder.
	firstResend = 10 * time.Millisecond
	lastResend  = 50 * time.Millisecond

	// silence is how long to wait for an answer: longer than the engine takes to notice that
	// it has lost a holder.
	silence = 5 * time.Second

	// answers is how many answers to one query may wait to be read. More are lost.
	answers = 16

	// statusHeader is in a message from the engine itself, with the value noResponders if no
	// replica has subscribed.
	statusHeader = "Status"
	noResponders = "503"
)

// Locate implements [cluster.Registry]. It takes the first claim that is not Doubtful.
//
// The engine says at once if no replica has announced the client. That is ErrNotConnected,
// except in the first second after an outage: other replicas are on their way back then, so
// Locate repeats the request until one answers, or that second is over.
func (r *Registry) Locate(ctx context.Context, id string, except ...string) (cluster.Claim, error) {
	if err := fleet.CheckID(id); err != nil {
		return cluster.Claim{}, fmt.Errorf("locate: %w", err)
	}
	c, err := r.locate(ctx, id, &tally{except: except, trusted: r.link.isTrusted})
	if err != nil {
		return cluster.Claim{}, fmt.Errorf("locate %q: %w", id, err)
	}
	return c, nil
}

// locate sends a request until the answers decide.
func (r *Registry) locate(ctx context.Context, id string, t *tally) (cluster.Claim, error) {
	up, changed, why := r.link.state()
	switch {
	case r.ctx.Err() != nil:
		return cluster.Claim{}, unavailable(net.ErrClosed)
	case ctx.Err() != nil:
		return cluster.Claim{}, unavailable(ended(ctx))
	case !up:
		return cluster.Claim{}, unavailable(fmt.Errorf("no connection to the engine: %w", why))
	}
	pause := firstResend
	again := time.NewTimer(pause)
	defer again.Stop()
	limit := time.NewTimer(silence)
	defer limit.Stop()
	q, req, forget := r.newQuery(id)
	defer forget()
	for requests := r.requests; ; {
		select {
		case requests <- req:
			requests = nil
		case <-again.C:
			requests = r.requests
			pause = min(2*pause, lastResend)
			again.Reset(pause)
		case a := <-q.answers:
			if t.count(a) {
				return t.result()
			}
		case <-t.decided:
			if t.close(q.answers) {
				return t.result()
			}
		case <-limit.C:
			return cluster.Claim{}, r.unanswered(fmt.Errorf("nobody has answered within %v", silence))
		case <-changed:
			return cluster.Claim{}, unavailable(errors.New("the connection to the engine was lost"))
		case <-ctx.Done():
			return cluster.Claim{}, r.unanswered(ended(ctx))
		case <-r.ctx.Done():
			return cluster.Claim{}, unavailable(net.ErrClosed)
		}
	}
}

// unanswered is unavailable with what the engine has refused, which may be why: a user may not
// be allowed to read answers.
func (r *Registry) unanswered(why error) error {
	if up, _, refused := r.link.state(); up && refused != nil {
		why = fmt.Errorf("%w; the engine complains: %w", why, refused)
	}
	return unavailable(why)
}

// ended returns why ctx has ended, in an error that matches ctx.Err() and its cause.
func ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

func unavailable(why error) error { return fmt.Errorf("%w: %w", cluster.ErrUnavailable, why) }
