package fleet

import (
	"context"
	"fmt"
	"net/http"
	"weak"

	"github.com/backdial/backdial/internal/ctxerr"

	"github.com/backdial/backdial/transport"
)

// Authorize is for [transport.WithAuthorize]: it identifies a client before anything is
// upgraded, and refuses one that [WithDuplicates] does not let in, with status 409, after
// which the client comes back. A
// function of the user's may call it after checks of its own. Without it, clients are
// identified when they are connected already, and the refused ones closed.
func (f *Fleet) Authorize(r *http.Request) error {
	id, err := f.identified(r)
	if err != nil {
		return err
	}
	dead, err := f.admit(r.Context(), id)
	if err != nil {
		return err
	}
	a := admission{id: id}
	for _, m := range dead {
		a.dead = append(a.dead, weak.Make(m))
	}
	*r = *r.WithContext(context.WithValue(r.Context(), f, a))
	return nil
}

// An admission is what Authorize has found out. The session has it for as long as it
// lives, and would keep its predecessors alive, and these theirs.
type admission struct {
	id   string
	dead []weak.Pointer[member] // that are in the client's way
}

// beaten returns those in the client's way that are still there.
func (a admission) beaten() []*member {
	var beaten []*member
	for _, p := range a.dead {
		if m := p.Value(); m != nil {
			beaten = append(beaten, m)
		}
	}
	return beaten
}

// admitted returns what Authorize has found, or who the client is.
func (f *Fleet) admitted(d *transport.Dialer) (admission, error) {
	if a, ok := d.Context().Value(f).(admission); ok {
		return a, nil
	}
	r := &http.Request{
		Method:     http.MethodGet,
		Header:     d.Header,
		URL:        d.URL,
		TLS:        d.TLS,
		RemoteAddr: d.Info().RemoteAddr.String(),
	}
	id, err := f.identified(r.WithContext(d.Context()))
	return admission{id: id}, err
}

// admit returns an error if a client that has yet to be upgraded would not be let in,
// or else the sessions in its way that are dead.
func (f *Fleet) admit(ctx context.Context, id string) (dead []*member, err error) {
	if f.duplicates == ReplaceOlder || f.duplicates == KeepAll {
		return nil, nil
	}
	alive := f.rivals(id)
	if f.duplicates == ReplaceDead { // which takes its time, whoever waits for that
		dead, alive = probeAll(context.WithoutCancel(ctx), alive)
	}
	if len(alive) == 0 && ctx.Err() == nil {
		return dead, nil
	}
	if len(alive) == 0 { // too late for this request, but the next one finds nobody in its way
		f.displace(dead)
		err := fmt.Errorf("client %q: %w, while the older session was asked for a sign of life", id, ctxerr.Of(ctx))
		return nil, fmt.Errorf("fleet: %w", refuse(http.StatusServiceUnavailable, "try again", err))
	}
	f.count(func(s *Stats) { s.Rejected++ })
	return nil, fmt.Errorf("fleet: client %q: %w", id, refuse(http.StatusConflict, errConflict.Error(), errConflict))
}
