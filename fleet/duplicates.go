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

// Duplicates says what happens when a client comes whose ID another session has.
type Duplicates int

const (
	// ReplaceOlder closes the older session. A client that comes back is there at
	// once, also if the server takes its lost session for alive. Of two devices with
	// the same ID, each displaces the other for as long as both connect again.
	ReplaceOlder Duplicates = iota

	// ReplaceDead asks the older session for a sign of life, and closes it if there is
	// none within 5 s. If there is, the newcomer is refused with status 409. So a client
	// that comes back waits for that long, or is let in at the next attempt if its
	// handshake may not last so long, and a clone of it is kept out. A client that does
	// not answer pings ([transport.Dialer.Ping]) is always replaced.
	ReplaceDead

	// RejectNewer refuses the newcomer, with status 409. A client whose network has
	// failed is kept out until the server has noticed that too, for 30 s by default
	// ([transport.WithKeepAlive]).
	RejectNewer

	// KeepAll keeps all sessions, and dials the one with the fewest connections in
	// use: for clients that connect several times on purpose, to share the load.
	KeepAll
)

// patience is how long a client has to answer a ping.
const patience = 5 * time.Second

// errConflict is why a newcomer is turned away.
var errConflict = errors.New("a client with this ID is already connected")

// HandleEndpoint makes a client a member of the fleet. It returns when that is decided:
// after a few seconds, if sessions of the same ID are to be asked for a sign of life and
// closed.
func (f *Fleet) HandleEndpoint(d *transport.Dialer) {
	a, err := f.admitted(d)
	if err == nil {
		err = f.enter(&member{a.id, d}, a.beaten())
	}
	if err != nil {
		reason := reasonFor(err)
		if !errors.Is(err, ErrReplaced) {
			err = fmt.Errorf("%w: %w", transport.EndRefused, err)
		}
		d.CloseBecause(err, reason)
	}
}

// reasonFor is what a client is told of the error that closes its session: no more
// than it would be by an answer to its request.
func reasonFor(err error) string {
	if rejected, ok := errors.AsType[*carrier.RejectedError](err); ok {
		reason := fmt.Sprintf("%d %s", rejected.StatusCode, http.StatusText(rejected.StatusCode))
		if body := bytes.TrimSpace(rejected.Body); len(body) > 0 {
			reason += fmt.Sprintf(": %s", body)
		}
		return reason
	}
	for _, known := range []error{ErrReplaced, errConflict} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return http.StatusText(http.StatusForbidden)
}

// enter makes m a member, or returns why it cannot be one. It may displace those that
// it has beaten.
func (f *Fleet) enter(m *member, beaten []*member) error {
	for {
		rivals, displaced := f.join(m, beaten)
		if len(rivals) == 0 {
			closeAll(displaced, ErrReplaced, ErrReplaced.Error())
			return nil
		}
		// To be replaced is for those who are there: not by what a client is about
		// to give up, which may answer before it does.
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

// join makes m a member in the place of those that it has beaten, unless there are
// other rivals. Those are returned, or what it has displaced.
func (f *Fleet) join(m *member, beaten []*member) (rivals, displaced []*member) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.duplicates != KeepAll {
		rivals = slices.DeleteFunc(f.rivalsLocked(m.id), func(r *member) bool { return slices.Contains(beaten, r) })
	}
	if len(rivals) > 0 {
		return rivals, nil
	}
	f.addLocked(m) // first, so that the client is there all the time to who watches
	return nil, f.displaceLocked(beaten)
}

// displaceLocked removes sessions that are replaced, and returns those that were there.
func (f *Fleet) displaceLocked(beaten []*member) (displaced []*member) {
	for _, b := range beaten {
		if f.removeLocked(b, ErrReplaced) {
			f.stats.Replaced++
			displaced = append(displaced, b)
		}
	}
	return displaced
}

// displace removes and closes sessions that are to be replaced.
func (f *Fleet) displace(beaten []*member) {
	f.mu.Lock()
	displaced := f.displaceLocked(beaten)
	f.mu.Unlock()
	closeAll(displaced, ErrReplaced, ErrReplaced.Error())
}

// rivals returns the sessions with an ID that nobody has asked to move.
func (f *Fleet) rivals(id string) []*member {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rivalsLocked(id)
}

func (f *Fleet) rivalsLocked(id string) []*member {
	return slices.DeleteFunc(slices.Clone(f.membersLocked(id)), func(m *member) bool { return m.dialer.Moving() })
}

// probeAll tells those that give no sign of life from those that do.
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

// Probe asks the sessions of a client for a sign of life, closes those that give none
// within 5 s, as if they were replaced, and reports whether there is one left. It is for
// who knows that the client has connected elsewhere. A client that does not answer
// pings ([transport.Dialer.Ping]) gives no sign of life; one that was asked to move is
// left alone. If ctx ends first, its error is returned, and nothing is closed.
func (f *Fleet) Probe(ctx context.Context, id string) (alive bool, err error) {
	dead, living := probeAll(ctx, f.rivals(id))
	if ctx.Err() != nil { // which may be why they have not answered
		return false, fmt.Errorf("fleet: probe client %q: %w", id, ctxerr.Of(ctx))
	}
	f.displace(dead)
	return len(living) > 0, nil
}

// answers asks for a sign of life.
func answers(ctx context.Context, m *member) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return m.dialer.Ping(ctx) == nil
}

// Kick closes all sessions of a client, which is told the reason: also those that are not
// dialled any more, but have connections. It returns when they are closed: after a few
// seconds, at most, that the client has to take what was written. A client that connects
// again is let in, unless [Identify] refuses it. If there is no such client, the error
// matches what that of [Fleet.Dial] does.
func (f *Fleet) Kick(id, reason string) error {
	if err := CheckID(id); err != nil {
		return fmt.Errorf("fleet: kick %w", err)
	}
	f.mu.Lock()
	members := slices.Concat(f.clients[id], f.draining[id])
	if len(members) == 0 {
		defer f.mu.Unlock()
		return fmt.Errorf("fleet: kick: %w", f.notConnectedLocked(id))
	}
	kicked := &KickedError{reason}
	for _, m := range f.clients[id] {
		f.removeLocked(m, kicked)
	}
	f.gone.Set(id, departure{time.Now(), kicked}) // if all were draining, there was another reason
	delete(f.draining, id)
	f.stats.Kicked += uint64(len(members))
	f.mu.Unlock()
	closeAll(members, kicked, reason)
	return nil
}

// closeAll closes sessions because of why, all at the same time, and waits for that.
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
