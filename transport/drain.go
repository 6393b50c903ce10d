package transport

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/mux"
)

// ErrDraining means that a session takes no new connections, while open ones go on. The error
// of Dial matches it if the client has moved or is about to move to another session
// ([Server.Shutdown], [Dialer.Shutdown], [WithMaxAge]), or is shutting down, or the session
// has no stream ids left.
var ErrDraining = errors.New("session is draining")

// errDraining is the error of Dial when the server no longer wants the session.
var errDraining = fmt.Errorf("transport: dial: %w", ErrDraining)

// errPeerLeaves is the error of Dial when the client shuts down. A hostile client may say so
// again and again, so the error is made once.
var errPeerLeaves = fmt.Errorf("transport: dial: %w: %w", ErrDraining, mux.ErrGoAway)

// moveGrace is how long a client may take to move, beyond the delay that it was given: enough
// for a slow handshake.
const moveGrace = 10 * time.Second

// A drain is the state of a session that takes no new connections, or is about to.
type drain struct {
	begin    sync.Once
	dialable context.Context // ends by begin, by Close, or with the session; then Dial fails
	endDial  context.CancelCauseFunc
	began    chan struct{} // closed by begin after that

	asked atomic.Bool // the client was asked to move
	move  sync.Once
	moved chan struct{} // closed by move: the client has another session
	stays chan struct{} // has room for one: the client will not move

	exodus atomic.Pointer[exodus] // the latest one, or nil
}

func (dr *drain) init(s *session) {
	dr.began, dr.moved, dr.stays = make(chan struct{}), make(chan struct{}), make(chan struct{}, 1)
	dr.dialable, dr.endDial = context.WithCancelCause(s.mux.Context())
}

// hear handles a message from the client.
func (d *Dialer) hear(m controlMessage) {
	dr := &d.drain
	switch m.kind {
	case controlMoved:
		d.session.heardReason(EndMoved)
		dr.move.Do(func() { close(dr.moved) })
	case controlStaying:
		select {
		case dr.stays <- struct{}{}:
		default:
		}
	case controlFailed:
		dr.exodus.Load().failed(dr)
	case controlLeaving:
		d.session.heardReason(EndShutdown)
		dr.start(errPeerLeaves)
	}
}

// start makes Dial fail because of why, which may not be nil.
func (dr *drain) start(why error) {
	dr.begin.Do(func() {
		dr.endDial(why)
		close(dr.began)
	})
}

// whyNot returns why Dial fails although the session goes on, or nil.
func (dr *drain) whyNot(s *session) error {
	why := context.Cause(dr.dialable)
	if !s.alive() { // after Cause, which the end of s may have set
		return nil
	}
	return why
}

// Draining is closed when Dial begins to fail with [ErrDraining]: the client has moved to
// another session, it cannot move and its server shuts down, or it shuts down itself. Open
// connections go on, and the session waits for them. So a program that keeps idle connections
// must close them then. With an [http.Transport], stop sending requests over this Dialer, and
// call CloseIdleConnections at once, and once more when the requests under way are done. Close
// a gRPC connection.
//
// [http.Transport]: https://pkg.go.dev/net/http#Transport
func (d *Dialer) Draining() <-chan struct{} { return d.drain.began }

// Dialable returns a context that ends when Dial begins to fail for good: with the session,
// for which [Dialer.Err] has the reason, or earlier, with Draining, for which [context.Cause]
// has it. Waiting for it with [context.AfterFunc] needs no goroutine, unlike waiting for Done
// and Draining.
func (d *Dialer) Dialable() context.Context { return d.drain.dialable }

// Shutdown asks the client to move to another session. When the client has moved, or says that
// it will not, Dial fails with [ErrDraining]; Shutdown waits until the connections in use are
// closed, and then closes the session. A client with [WithReconnect] connects again before it
// leaves this session, so the server can dial it at any time. If ctx ends first, Shutdown cuts
// what is left and returns ctx's error.
//
// Shutdown waits for the client's answer for 10 s, or half of the time until ctx's deadline.
func (d *Dialer) Shutdown(ctx context.Context) error { return d.shutdown(ctx, newExodus(), 0) }

// shutdown is Shutdown of a client that moves after a delay.
func (d *Dialer) shutdown(ctx context.Context, e *exodus, delay time.Duration) error {
	half, cancel := withHalf(ctx)
	defer cancel()
	began, asking := time.Now(), d.session.probe()
	moved := d.askToMove(half, delay, delay+moveGrace, e.vain)
	e.answered(&d.drain, moved)
	if !moved {
		// The client may connect again when its session ends: at its own moment too.
		sleep(half, d.Done(), delay-time.Since(began))
	}
	return d.retire(ctx, moved, asking, EndShutdown)
}

// withHalf returns a context that ends when half of the time until ctx's deadline has passed.
func withHalf(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithTimeout(ctx, time.Until(deadline)/2)
	}
	return context.WithCancel(ctx)
}

// sleep waits for d, or until ctx has ended or done is closed.
func sleep(ctx context.Context, done <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-done:
	case <-ctx.Done():
	}
}

// askToMove asks the client to move after a delay, and reports whether it has moved. It waits
// for the answer until patience has passed or vain is closed.
func (d *Dialer) askToMove(ctx context.Context, delay, patience time.Duration, vain <-chan struct{}) bool {
	select {
	case <-d.drain.stays: // the answer to an earlier question
	default:
	}
	d.drain.asked.Store(true)
	if d.session.say(controlMessage{kind: controlMove, delay: delay}) != nil {
		return false
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-d.drain.moved:
		return true
	case <-d.drain.stays:
	case <-late.C:
	case <-vain:
	case <-ctx.Done():
	case <-d.Done():
	}
	return false
}

// retire drains the session after the client was asked to move, and then closes it. The
// session ends for the given reason, which the client is told, unless the client has moved or
// is silent. retire ends asking, which may be nil.
func (d *Dialer) retire(ctx context.Context, moved bool, asking *probe, reason EndReason) error {
	var why error = reason
	undialable := errDraining
	switch silence := asking.end(); {
	case moved:
		why = EndMoved
	case silence != nil:
		why, undialable = silence, explainGone(endedOtherwise(nil, silence))
	default:
		d.session.say(controlMessage{kind: controlEnding, text: string(reason)}) // best effort
	}
	d.session.ours.CompareAndSwap(nil, &why) // unless it is being closed for another reason
	d.drain.start(undialable)
	return d.session.mux.Shutdown(ctx)
}
