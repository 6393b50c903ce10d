package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/backdial/backdial/internal/test/workload"
	"github.com/backdial/backdial/transport"
)

// A client is a device and its caller.
type client struct {
	number uint32
	stack  *stack
	place  *place // nil if it reaches the server without a network
	device *workload.Device
	caller *workload.Caller

	listener *transport.Listener // once connect has succeeded
	serving  sync.WaitGroup

	mu       sync.Mutex // guards below
	since    time.Time  // when the latest session began
	sessions int
	moves    int // sessions that began before the previous one ended
	gaps     int // times without a session
	ended    [workload.Classes]int
	outages
}

func newClient(number int, s *stack, o options) *client {
	config := workload.Config{Number: uint32(number), Seed: o.seed}
	if s.noisy {
		config.Timeout = 2 * o.silence() // a request may be lost in a session that lives
	}
	return &client{number: config.Number, stack: s, device: workload.NewDevice(config), caller: workload.NewCaller(config)}
}

// connect connects the device to the server at addr.
func (c *client) connect(ctx context.Context, addr string, tls *tls.Config, o options) (err error) {
	opts := []transport.ClientOption{
		transport.WithCarriers(c.stack.carrier), transport.WithMuxes(c.stack.muxer),
		transport.WithTLSConfig(tls),
		transport.WithKeepAlive(o.keepAlive, o.keepAlive),
		transport.WithReconnect(o.backoff),
		transport.WithTrace(transport.Trace{StateChanged: c.changed}),
	}
	if c.stack.noisy { // even a final answer may be noise
		opts = append(opts, transport.WithRetry(func(error) bool { return true }))
	}
	url := fmt.Sprintf("%s://%s/%d", c.stack.scheme(), addr, c.number)
	c.listener, err = transport.DialAndListenContext(ctx, url, workload.Header(c.number), opts...)
	if err != nil {
		return fmt.Errorf("client %d, %s: %w", c.number, c.stack.name, err)
	}
	c.serving.Go(func() { c.device.Serve(c.listener) })
	return nil
}

// named accepts a client if its request names its device twice, in its path and in its
// header: noise may have changed one of them.
func named(r *http.Request) error {
	number, err := strconv.ParseUint(strings.TrimPrefix(r.URL.Path, "/"), 10, 32)
	for key, want := range workload.Header(uint32(number)) {
		if err != nil || !slices.Equal(r.Header[key], want) {
			return fmt.Errorf("device %q at %s", r.Header[key], r.URL.Path)
		}
	}
	return nil
}

// changed is the listener's callback for changes of state.
func (c *client) changed(to transport.StateChange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch to.To {
	case transport.StateConnected:
		if to.Err != nil {
			return // to the session that it was moving from
		}
		c.since = time.Now()
		c.sessions++
		if to.From == transport.StateMoving {
			c.moves++
		}
	case transport.StateWaiting, transport.StateConnecting:
		if to.From == transport.StateConnected || to.From == transport.StateMoving {
			c.gaps++
		}
	}
}

// connectedSince reports whether the client has made a session after t, and when.
func (c *client) connectedSince(t time.Time) (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.since, c.since.After(t)
}

// timesWithout is how often the client has lost its session before it had another.
func (c *client) timesWithout() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gaps
}

// hasEnded reports whether the listener has ended, so that the client will not come back.
func (c *client) hasEnded() bool { return c.listener == nil || c.listener.Err() != nil }

// talk makes exchanges, one after the other, until ctx ends, with pauses between them.
func (c *client) talk(ctx context.Context, dialers *workload.Dialers, pause time.Duration, ended func(error)) {
	for ctx.Err() == nil {
		d, err := dialers.Await(ctx, c.number)
		if err != nil {
			return
		}
		rest := rand.N(2 * pause)
		select {
		case <-d.Draining(): // another session will come
			rest = impatience
		default:
			began := time.Now()
			err := c.caller.Exchange(ctx, d)
			c.exchanged(began, err)
			ended(err)
		}
		if c.awaits() {
			rest = min(rest, impatience)
		}
		wait(ctx, rest)
	}
}

// impatience is the pause of the caller of a client that has not answered for a while:
// too short to count.
const impatience = 50 * time.Millisecond

// exchanged notes the result of an exchange.
func (c *client) exchanged(began time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended[workload.ClassOf(err)]++
	if err == nil {
		c.answered(began)
	}
}

// disturb starts to wait for an answer of the client after cause, which is now gone. ""
// is a cause that does not count; it changes nothing if an answer is awaited already.
func (c *client) disturb(cause string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.await(cause)
}

// awaits reports whether an answer is awaited.
func (c *client) awaits() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.awaited != nil
}

func (c *client) close() {
	if c.listener != nil {
		c.listener.Close()
		c.serving.Wait()
	}
}

// wait waits for d. It returns false if ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
