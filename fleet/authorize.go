package fleet

import (
	"context"
	"fmt"
	"net/http"
	"weak"

	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/transport"
)

// Authorize is for [transport.WithAuthorize]. It identifies a client before the upgrade, and
// refuses one that [WithDuplicates] does not let in, with status 409, after which the client
// comes back. A function of yours may call it after checks of its own. Without it, the fleet
// identifies clients after they have connected, and closes the sessions of those that it
// refuses.
func (f *Fleet) Authorize(r *http.Request) error {
	kicks := f.kicksSoFar()
	id, err := f.identified(r)
	if err != nil {
		return err
	}
	dead, err := f.admit(r.Context(), id)
	if err != nil {
		return err
	}
	a := admission{id: id, kicks: kicks}
	for _, m := range dead {
		a.dead = append(a.dead, weak.Make(m))
	}
	*r = *r.WithContext(context.WithValue(r.Context(), f, a))
	return nil
}

// An admission is the result of Authorize. A session keeps it for as long as it lives, so it
// must not keep the session's predecessors alive, which would keep theirs.
type admission struct {
	id    string
	kicks uint64                 // as in member
	dead  []weak.Pointer[member] // in the client's way
}

// beaten returns the dead sessions that are still there.
func (a admission) beaten() []*member {
	var beaten []*member
	for _, p := range a.dead {
		if m := p.Value(); m != nil {
			beaten = append(beaten, m)
		}
	}
	return beaten
}

// admitted returns the result of Authorize, or identifies the client without it.
func (f *Fleet) admitted(d *transport.Dialer) (admission, error) {
	if a, ok := d.Context().Value(f).(admission); ok {
		return a, nil
	}
	kicks := f.kicksSoFar()
	r := &http.Request{
		Method:     http.MethodGet,
		Header:     d.Header,
		URL:        d.URL,
		TLS:        d.TLS,
		RemoteAddr: d.Info().RemoteAddr.String(),
	}
	id, err := f.identified(r.WithContext(d.Context()))
	return admission{id: id, kicks: kicks}, err
}

// admit returns an error if the fleet would not let in a client that has yet to be upgraded,
// or else the dead sessions in its way.
func (f *Fleet) admit(ctx context.Context, id string) (dead []*member, err error) {
	switch f.duplicates {
	case ReplaceOlder:
		return nil, nil
	case KeepAll:
		f.mu.Lock()
		err := f.checkRoomLocked(id)
		f.mu.Unlock()
		if err != nil {
			err = conflict(id, err)
		}
		return nil, err
	}
	alive := f.rivals(id)
	if f.duplicates == ReplaceDead && len(alive) > 0 { // takes a while, even if the client stops waiting
		if !f.beginAsking(id) {
			err := fmt.Errorf("client %q: the older session is being asked for a sign of life already", id)
			return nil, fmt.Errorf("fleet: %w", refuse(http.StatusServiceUnavailable, "try again", err))
		}
		defer f.endAsking(id)
		dead, alive = probeAll(context.WithoutCancel(ctx), alive)
	}
	if len(alive) == 0 && ctx.Err() == nil {
		return dead, nil
	}
	if len(alive) == 0 { // too late for this request, but nothing is in the way of the next
		f.displace(dead)
		err := fmt.Errorf("client %q: %w, while the older session was asked for a sign of life", id, ctxerr.Of(ctx))
		return nil, fmt.Errorf("fleet: %w", refuse(http.StatusServiceUnavailable, "try again", err))
	}
	f.count(func(s *Stats) { s.Rejected++ })
	return nil, conflict(id, errConflict)
}

// conflict returns the refusal of a client because of its other sessions.
func conflict(id string, why error) error {
	return fmt.Errorf("fleet: client %q: %w", id, refuse(http.StatusConflict, why.Error(), why))
}

// beginAsking reports whether the caller may ask the older sessions of a client for a sign of
// life before it admits a newer one, until endAsking. Only one handshake of each client may:
// otherwise a client that does not answer could take all handshakes that the server allows.
func (f *Fleet) beginAsking(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asking[id] {
		return false
	}
	f.asking[id] = true
	return true
}

func (f *Fleet) endAsking(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.asking, id)
}
