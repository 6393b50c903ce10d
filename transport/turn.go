package transport

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/ctxerr"
)

// ErrAlreadyConnected is matched by the error that [Trace.HandshakeFailed] is told on a
// server when a client that is to hold sessions to several ([WithSessions]) was led to
// one where it has a session, and by why a client has given up a session to such a
// server that has not refused it, because something on the way has removed what the
// client said. The client tries again, as after a refusal ([Backoff]).
var ErrAlreadyConnected = errors.New("the client already has a session to this server")

// connectedHeader lists the servers that a client holds sessions to.
const connectedHeader = "Backdial-Connected"

// withConnected returns a header that says which servers the client holds sessions to.
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

// isMisdirected reports whether err is the answer of a server that is connected.
func isMisdirected(err error) bool {
	rejected, ok := errors.AsType[*carrier.RejectedError](err)
	return ok && rejected.StatusCode == http.StatusMisdirectedRequest
}

// A turn is whose it is to connect, of several lanes. They do that one at a time, and
// beside other sessions only when their servers have said who they are: so no two get
// to the same server, which would take the second for the client's return. Guarded by
// lifecycle.mu.
type turn struct {
	taken bool
	woken chan struct{} // closed when those who wait for it are to look again; nil if nobody does
}

func (t *turn) wakeLocked() {
	if t.woken != nil {
		close(t.woken)
		t.woken = nil
	}
}

// awaitTurn waits until it is the turn of ln, and takes it. It returns the servers that
// the other lanes have sessions to. ctx bounds the wait.
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

// takeTurn takes the turn, or returns what to wait for.
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

// heldBesideLocked returns the servers that lanes other than ln have sessions to. It
// reports false if one of these has not said who it is.
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

// nextLocked returns the lane that is to begin, if those before it all have sessions
// and know to whom. So there is no more than one that looks for a server in vain.
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
