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

// ErrSilent is matched by the error of a request whose client gives no sign of life: it may
// have been stopped, or the path to it be dead, although its session is not over yet. Such
// errors match [os.ErrDeadlineExceeded] too.
var ErrSilent = errors.New("the client gives no sign of life")

const (
	// askAfter is how long a request waits for its answer until the client is asked for a
	// sign of life, and again after each. Most answers are there by then.
	askAfter = 5 * time.Second

	// silence is how long the client may then take, which is as much as the keepalive of
	// its session gives it: the question waits behind what is on its way to the client.
	silence = 15 * time.Second
)

// A vigil ends a request that has no answer yet if its client gives no sign of life.
type vigil struct {
	transport *Transport
	ctx       context.Context // of the request
	giveUp    context.CancelCauseFunc
	timer     *time.Timer
	over      atomic.Bool
}

// watch begins the vigil of a request, and returns the request with what can end it.
func (t *Transport) watch(r *http.Request) (*vigil, *http.Request) {
	v := &vigil{transport: t}
	v.ctx, v.giveUp = context.WithCancelCause(r.Context())
	v.timer = time.AfterFunc(askAfter, v.ask)
	return v, r.WithContext(v.ctx)
}

// ask runs in a goroutine that ends with the request or soon.
func (v *vigil) ask() {
	d := v.transport.dialer
	if v.over.Load() || d.Info().RoundTrip == 0 { // of a client that cannot answer, as far as is known
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

// end ends the vigil with the request's answer, whose body ends the rest of the request
// when it is closed.
func (v *vigil) end(answer *http.Response) {
	v.over.Store(true)
	v.timer.Stop()
	if answer == nil || answer.StatusCode == http.StatusSwitchingProtocols { // whose body is a connection
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
