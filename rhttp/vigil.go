package rhttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// ErrSilent means that the client of a request gives no sign of life: it may have been
// stopped, or the path to it may be dead, although its session is not over yet. Such errors
// match [os.ErrDeadlineExceeded] too.
var ErrSilent = errors.New("the client gives no sign of life")

const (
	// askAfter is how long a request waits for its answer before the client is asked for a
	// sign of life, and again after each sign. Most answers arrive earlier.
	askAfter = 5 * time.Second

	// silence is how long the client may then take. The keepalive of its session gives it as
	// much time: the question waits behind what is on its way to the client.
	silence = 15 * time.Second
)

// A vigil ends a request without an answer if its client gives no sign of life.
type vigil struct {
	transport *Transport
	ctx       context.Context // of the request
	giveUp    context.CancelCauseFunc
	timer     *time.Timer
	over      atomic.Bool
}

// watch begins the vigil of a request, and returns the request that the vigil can end.
func (t *Transport) watch(r *http.Request) (*vigil, *http.Request) {
	v := &vigil{transport: t}
	v.ctx, v.giveUp = context.WithCancelCause(r.Context())
	v.timer = time.AfterFunc(askAfter, v.ask)
	return v, r.WithContext(v.ctx)
}

// ask asks the client, in a goroutine that ends with the request or soon.
func (v *vigil) ask() {
	d := v.transport.dialer
	if v.over.Load() || d.Info().RoundTrip == 0 { // a client that has never answered may be unable to
		return
	}
	ctx, cancel := context.WithTimeout(v.ctx, silence)
	defer cancel()
	if d.Ping(ctx) == nil {
		v.timer.Reset(askAfter)
	} else if v.ctx.Err() == nil && d.Err() == nil && v.over.CompareAndSwap(false, true) {
		v.giveUp(fmt.Errorf("rhttp: %w: %w", ErrSilent, os.ErrDeadlineExceeded))
	}
}

// end ends the vigil when there is an answer, or none. Closing the answer's body ends the rest
// of the request.
func (v *vigil) end(answer *http.Response) {
	v.over.Store(true)
	v.timer.Stop()
	if answer == nil || answer.StatusCode == http.StatusSwitchingProtocols { // its body is a connection
		v.giveUp(nil)
		return
	}
	answer.Body = watchedBody{answer.Body, v.giveUp}
}

// A watchedBody is the body of an answer.
type watchedBody struct {
	io.ReadCloser
	done context.CancelCauseFunc
}

func (b watchedBody) Close() error {
	defer b.done(nil)
	return b.ReadCloser.Close()
}
