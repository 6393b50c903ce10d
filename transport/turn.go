package transport

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/ctxerr"
)

// ErrAlreadyConnected means that the client already has a session to this server. On the
// server, the error that [Trace.HandshakeFailed] gets matches it if the server refused a
// second session of a client that holds several ([WithSessions]). If something on the way has
// removed the client's list of servers, so that the server did not refuse, the client gives up
// the second session, and the error of that session matches it. The client tries again, as
// after a refusal ([Backoff]).
var ErrAlreadyConnected = errors.New("the client already has a session to this server")

// connectedHeader lists the servers that a client has sessions to.
const connectedHeader = "Backdial-Connected"

// withConnected returns header with the list of servers that the client has sessions to.
func withConnected(header http.Header, held []string) http.Header {
	if len(held) == 0 {
		return header
	}
	header = header.Clone()
	if header == nil {
		header = make(http.Header)
	}
	header.Set(connectedHeader, strings.Join(held, ", "))
	return header
}

// isMisdirected reports whether err is the answer of a server that the client is connected to.
func isMisdirected(err error) bool {
	rejected, ok := errors.AsType[*carrier.RejectedError](err)
	return ok && rejected.StatusCode == http.StatusMisdirectedRequest
}

// A turn lets several lanes connect one at a time, and beside other sessions only when these
// know their servers. So no two lanes reach the same server at once, which would take the
// second for the client's return. Guarded by lifecycle.mu.
type turn struct {
	taken bool
	woken chan struct{} // closed to make waiting lanes look again; nil if none waits
}

func (t *turn) wakeLocked() {
	if t.woken != nil {
		close(t.woken)
		t.woken = nil
	}
}

// awaitTurn waits for the turn of ln, and takes it. It returns the servers that the other
// lanes have sessions to. ctx limits the wait.
func (l *lifecycle) awaitTurn(ctx context.Context, ln *lane) (held []string, err error) {
	for {
		held, woken := l.takeTurn(ln)
		if woken == nil {
			return held, nil
		}
		select {
		case <-woken:
		case <-ctx.Done():
			return nil, ctxerr.Of(ctx)
		}
	}
}

// takeTurn takes the turn, or returns a channel to wait for.
func (l *lifecycle) takeTurn(ln *lane) (held []string, woken <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held, known := l.heldBesideLocked(ln)
	if known && !l.turn.taken {
		l.turn.taken = true
		return held, nil
	}
	if l.turn.woken == nil {
		l.turn.woken = make(chan struct{})
	}
	return nil, l.turn.woken
}

func (l *lifecycle) endTurn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn.taken = false
	l.turn.wakeLocked()
}

// heldBesideLocked returns the servers that lanes other than ln have sessions to. It reports
// false if one of these has not given its ID.
func (l *lifecycle) heldBesideLocked(ln *lane) (held []string, known bool) {
	for i := range l.lanes {
		other := &l.lanes[i]
		if other == ln || !other.session.alive() {
			continue
		}
		id := other.session.server.Load()
		if id == nil {
			return nil, false
		}
		held = append(held, *id)
	}
	return held, true
}

// nextLocked returns the lane to begin next, if all lanes before it have sessions and know
// their servers. So at most one lane looks for a server in vain.
func (l *lifecycle) nextLocked() *lane {
	for i := range l.lanes {
		ln := &l.lanes[i]
		if !ln.started {
			return ln
		}
		if ln.state == StateEnded || !ln.session.alive() || ln.session.server.Load() == nil {
			return nil
		}
	}
	return nil
}
