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

// ErrDraining is matched by the error of Dial when the session takes no new
// connections, but those that are open go on: its client has moved or is to move to
// another session ([Server.Shutdown], [Dialer.Shutdown], [WithMaxAge]), or is shutting
// down itself, or the session has used up its stream ids.
var ErrDraining = errors.New("session is draining")

// errDraining is the error of Dial when it is the server that does not want the
// session any more.
var errDraining = fmt.Errorf("transport: dial: %w", ErrDraining)

// errPeerLeaves is the error of Dial when the client shuts down. A hostile one says so as
// often as it likes.
var errPeerLeaves = fmt.Errorf("transport: dial: %w: %w", ErrDraining, mux.ErrGoAway)

// moveGrace is how long a client has to move, beyond the delay that it was given:
// a handshake, however slow.
const moveGrace = 10 * time.Second

// A drain is what becomes of a session that its server does not want any more.
type drain struct {
	begin    sync.Once
	dialable context.Context // ended by begin, by Close, or with the session: Dial fails
	endDial  context.CancelCauseFunc
	began    chan struct{} // closed by begin after that

	asked atomic.Bool // to move
	move  sync.Once
	moved chan struct{} // closed by move: the client has another session
	stays chan struct{} // has room for one; the client will not have another

	exodus atomic.Pointer[exodus] // the latest one, or nil
}

func (dr *drain) init(s *session) {
	dr.began, dr.moved, dr.stays = make(chan struct{}), make(chan struct{}), make(chan struct{}, 1)
	dr.dialable, dr.endDial = context.WithCancelCause(s.mux.Context())
}

// hear notes what the client says.
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

func (dr *drain) start(why error) {
	dr.begin.Do(func() {
		dr.endDial(why)
		close(dr.began)
	})
}

// whyNot returns why Dial fails although the session goes on, or nil.
func (dr *drain) whyNot(s *session) error {
	why := context.Cause(dr.dialable)
	if !s.alive() { // in this order: that may be why
		return nil
	}
	return why
}

// Draining is closed when Dial fails with [ErrDraining]: because the client has moved to
// another session, because it cannot and its server shuts down, or because it shuts down
// itself. What is open goes on, and the session waits for it. So whoever keeps idle
// connections has to give them up now: nothing more should be sent through an
// [http.Transport] over this Dialer, and its CloseIdleConnections called, again when
// the requests that are under way are done; a gRPC connection should be closed.
//
// [http.Transport]: https://pkg.go.dev/net/http#Transport
func (d *Dialer) Draining() <-chan struct{} { return d.drain.began }

// Dialable returns a context that ends when Dial fails from then on: with the session,
// for which [Dialer.Err] tells why, or before that, with Draining, for which
// [context.Cause] does. Unlike these two it can be waited for without a goroutine, by
// [context.AfterFunc].
func (d *Dialer) Dialable() context.Context { return d.drain.dialable }

// Shutdown asks the client to move to another session. When it has, or says that it
// will not, Dial fails with [ErrDraining]; Shutdown waits until the connections in use
// have been closed, and closes the session. A client with [WithReconnect] connects
// anew before it leaves this session, so that it can be dialled all the time. When
// ctx ends first, Shutdown cuts what is left and returns ctx's error.
//
// A client that does not answer is given up after 10 s, or half of the time that ctx
// leaves.
func (d *Dialer) Shutdown(ctx context.Context) error { return d.shutdown(ctx, newExodus(), 0) }

// shutdown is Shutdown of a client that is to move after a delay.
func (d *Dialer) shutdown(ctx context.Context, e *exodus, delay time.Duration) error {
	half, cancel := withHalf(ctx)
	defer cancel()
	began, asking := time.Now(), d.session.probe()
	moved := d.askToMove(half, delay, delay+moveGrace, e.vain)
	e.answered(&d.drain, moved)
	if !moved {
		// Its end makes it come back, perhaps: at a moment of its own too.
		sleep(half, d.Done(), delay-time.Since(began))
	}
	return d.retire(ctx, moved, asking, EndShutdown)
}

// withHalf returns a context that ends when half of ctx's time has passed.
func withHalf(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithTimeout(ctx, time.Until(deadline)/2)
	}
	return context.WithCancel(ctx)
}

// sleep waits for so long, or until ctx has ended or done is closed.
func sleep(ctx context.Context, done <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-done:
	case <-ctx.Done():
	}
}

// askToMove asks the client to move after a delay, and waits for its answer for so
// long, or until vain is closed. It reports whether the client has moved.
func (d *Dialer) askToMove(ctx context.Context, delay, patience time.Duration, vain <-chan struct{}) bool {
	select {
	case <-d.drain.stays: // an answer to an earlier question
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

// retire drains the session, whose client was asked to move, and then closes it. The end has
// the given reason, of which the client is told, unless the client has moved or is silent.
// retire ends asking, which may be nil.
func (d *Dialer) retire(ctx context.Context, moved bool, asking *probe, reason EndReason) error {
	var why error = reason
	undialable := errDraining
	switch silence := asking.end(); {
	case moved:
		why = EndMoved
	case silence != nil:
		why, undialable = silence, explainGone(endedOtherwise(nil, silence))
	default:
		d.session.say(controlMessage{kind: controlEnding, text: string(reason)}) // as far as it can be told
	}
	d.session.ours.CompareAndSwap(nil, &why) // unless somebody is closing it for another
	d.drain.start(undialable)
	return d.session.mux.Shutdown(ctx)
}
