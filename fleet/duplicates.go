package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/transport"
)

// Duplicates says what happens when a client connects with the ID of another session.
type Duplicates int

const (
	// ReplaceOlder closes the older session. A client that comes back is there at once, even
	// if the server still takes its lost session for alive. Two devices with the same ID
	// replace each other for as long as both connect again.
	ReplaceOlder Duplicates = iota

	// ReplaceDead asks the older session for a sign of life, and closes it if there is none
	// within 5 s. If there is one, the server refuses the newcomer with status 409. So a
	// client that comes back waits for that long, or gets in at its next attempt if its
	// handshake may not take so long, and a clone of it stays out. Further attempts of the
	// client are refused meanwhile, with status 503. A client that does not answer pings
	// ([transport.Dialer.Ping]) is always replaced.
	ReplaceDead

	// RejectNewer refuses the newcomer with status 409. A client whose network has failed
	// stays out until the server has noticed that too, for 30 s by default
	// ([transport.WithKeepAlive]).
	RejectNewer

	// KeepAll keeps all sessions, and dials the one with the fewest connections in use: for
	// clients that connect several times on purpose, to share the load.
	// [WithSessionsPerClient] limits their number.
	KeepAll
)

// patience is how long a client has to answer a ping.
const patience = 5 * time.Second

// errConflict and errTooMany are why a newcomer is refused.
var (
	errConflict = errors.New("a client with this ID is already connected")
	errTooMany  = errors.New("this client has as many sessions as it may")
)

// HandleEndpoint makes a client a member of the fleet. It returns when that is decided: after
// a few seconds, if it has to ask sessions of the same ID for a sign of life and close them.
func (f *Fleet) HandleEndpoint(d *transport.Dialer) {
	a, err := f.admitted(d)
	if err == nil {
		err = f.enter(&member{id: a.id, dialer: d, kicks: a.kicks}, a.beaten())
	}
	if err != nil {
		reason := reasonFor(err)
		if !errors.Is(err, ErrReplaced) && !errors.Is(err, transport.EndKicked) {
			err = fmt.Errorf("%w: %w", transport.EndRefused, err)
		}
		d.CloseBecause(err, reason)
	}
}

// reasonFor returns the reason that a client gets when err closes its session: no more than
// the answer to its request would say.
func reasonFor(err error) string {
	if rejected, ok := errors.AsType[*carrier.RejectedError](err); ok {
		reason := fmt.Sprintf("%d %s", rejected.StatusCode, http.StatusText(rejected.StatusCode))
		if body := bytes.TrimSpace(rejected.Body); len(body) > 0 {
			reason += fmt.Sprintf(": %s", body)
		}
		return reason
	}
	if kicked, ok := errors.AsType[*KickedError](err); ok {
		return kicked.Reason
	}
	for _, known := range []error{ErrReplaced, errConflict, errTooMany} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return http.StatusText(http.StatusForbidden)
}

// enter makes m a member, or returns why it cannot be one. m may replace the sessions that it
// has beaten.
func (f *Fleet) enter(m *member, beaten []*member) error {
	for {
		rivals, displaced, err := f.join(m, beaten)
		if err != nil {
			return err
		}
		if len(rivals) == 0 {
			closeAll(displaced, ErrReplaced, ErrReplaced.Error())
			return nil
		}
		// Wait for m's answer before it replaces anything: its client may be about to give
		// it up. It may answer first all the same.
		answers(context.Background(), m)
		if !m.dialable() {
			return m.whyGone()
		}
		if f.duplicates == ReplaceOlder {
			if slices.ContainsFunc(rivals, m.isOlder) { // they overtook it
				f.count(func(s *Stats) { s.Replaced++ })
				return ErrReplaced
			}
			beaten = append(beaten, rivals...)
			continue
		}
		dead, alive := probeAll(context.Background(), rivals)
		if len(alive) > 0 {
			f.count(func(s *Stats) { s.Rejected++ })
			return errConflict
		}
		beaten = append(beaten, dead...)
	}
}

// join makes m a member in the place of the sessions that it has beaten, unless there are
// other rivals. It returns those, or the sessions that m has replaced. The error is that of a
// client that was kicked since it was identified: what identified it may be out of date.
func (f *Fleet) join(m *member, beaten []*member) (rivals, displaced []*member, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if k, ok := f.kicked.Get(m.id); ok && k.number > m.kicks {
		f.stats.Kicked++
		return nil, nil, k.why
	}
	if f.duplicates == KeepAll {
		if err := f.checkRoomLocked(m.id); err != nil {
			return nil, nil, err
		}
	} else {
		rivals = slices.DeleteFunc(f.rivalsLocked(m.id), func(r *member) bool { return slices.Contains(beaten, r) })
	}
	if len(rivals) > 0 {
		return rivals, nil, nil
	}
	f.addLocked(m) // first, so that a watcher never sees the client leave
	return nil, f.displaceLocked(beaten), nil
}

// checkRoomLocked returns why a client may not have another session, with KeepAll.
func (f *Fleet) checkRoomLocked(id string) error {
	if len(f.rivalsLocked(id)) < f.mostSessions {
		return nil
	}
	f.stats.Rejected++
	return errTooMany
}

// displaceLocked removes sessions that are replaced, and returns those that were members.
func (f *Fleet) displaceLocked(beaten []*member) (displaced []*member) {
	for _, b := range beaten {
		if f.removeLocked(b, ErrReplaced) {
			f.stats.Replaced++
			displaced = append(displaced, b)
		}
	}
	return displaced
}

// displace removes and closes sessions that are replaced.
func (f *Fleet) displace(beaten []*member) {
	f.mu.Lock()
	displaced := f.displaceLocked(beaten)
	f.mu.Unlock()
	closeAll(displaced, ErrReplaced, ErrReplaced.Error())
}

// rivals returns the sessions with an ID that the server has not asked to move.
func (f *Fleet) rivals(id string) []*member {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rivalsLocked(id)
}

func (f *Fleet) rivalsLocked(id string) []*member {
	return slices.DeleteFunc(slices.Clone(f.membersLocked(id)), func(m *member) bool { return m.dialer.Moving() })
}

// probeAll tells sessions that give no sign of life from those that do.
func probeAll(ctx context.Context, members []*member) (dead, alive []*member) {
	answered := make([]bool, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() { answered[i] = answers(ctx, m) })
	}
	wg.Wait()
	for i, m := range members {
		if answered[i] {
			alive = append(alive, m)
		} else {
			dead = append(dead, m)
		}
	}
	return dead, alive
}

// Probe asks the sessions of a client for a sign of life, and reports whether any is left. It
// closes those that give none within 5 s, as if they were replaced. Use it if you know that
// the client has connected elsewhere. A client that does not answer pings
// ([transport.Dialer.Ping]) gives no sign of life. Probe leaves a session alone that was asked
// to move. If ctx ends first, it returns ctx's error and closes nothing.
func (f *Fleet) Probe(ctx context.Context, id string) (alive bool, err error) {
	dead, living := probeAll(ctx, f.rivals(id))
	if ctx.Err() != nil { // that may be why they have not answered
		return false, fmt.Errorf("fleet: probe client %q: %w", id, ctxerr.Of(ctx))
	}
	f.displace(dead)
	return len(living) > 0, nil
}

// answers asks for a sign of life, and reports whether there was one.
func answers(ctx context.Context, m *member) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return m.dialer.Ping(ctx) == nil
}

// Kick closes all sessions of a client, and tells it the reason. That includes sessions that
// are not dialled any more but still have connections. Kick returns when they are closed,
// which takes a few seconds at most, while the client takes what was written. A session that
// has been identified, but has yet to join the fleet, is closed with the same reason instead
// of joining. A client that connects again is let in, unless [Identify] refuses it. If no
// session has joined, the error matches the same as that of [Fleet.Dial].
func (f *Fleet) Kick(id, reason string) error {
	if err := CheckID(id); err != nil {
		return fmt.Errorf("fleet: kick %w", err)
	}
	kicked := &KickedError{reason}
	f.mu.Lock()
	f.kicks++
	f.kicked.Set(id, kick{f.kicks, kicked})
	members := slices.Concat(f.clients[id], f.draining[id])
	if len(members) == 0 {
		defer f.mu.Unlock()
		return fmt.Errorf("fleet: kick: %w", f.notConnectedLocked(id))
	}
	for _, m := range f.clients[id] {
		f.removeLocked(m, kicked)
	}
	f.gone.Set(id, departure{time.Now(), kicked}) // overrides an earlier reason if all were draining
	delete(f.draining, id)
	f.stats.Kicked += uint64(len(members))
	f.mu.Unlock()
	closeAll(members, kicked, reason)
	return nil
}

// A kick is a call of Kick.
type kick struct {
	number uint64 // which counts from 1
	why    *KickedError
}

// kicksSoFar returns how often Kick was called.
func (f *Fleet) kicksSoFar() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.kicks
}

// closeAll closes sessions because of why, concurrently, and waits for that.
func closeAll(members []*member, why error, reason string) {
	var wg sync.WaitGroup
	for _, m := range members {
		wg.Go(func() { m.dialer.CloseBecause(why, reason) })
	}
	wg.Wait()
}

func (f *Fleet) count(what func(*Stats)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	what(&f.stats)
}
