package workload

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// A Dialer is what a [Caller] dials its device with: a *transport.Dialer.
type Dialer interface {
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
}

// A Caller asks a device. It is the server's side of a workload.
type Caller struct {
	config Config
	calls  calls

	mu     sync.Mutex // guards below
	rand   *rand.Rand
	record CallerRecord
}

// NewCaller returns a caller for device config.Number.
func NewCaller(config Config) *Caller {
	c := &Caller{config: config.withDefaults()}
	c.calls.now = c.config.Now
	c.rand = rand.New(rand.NewPCG(config.Seed, uint64(config.Number)))
	return c
}

// Run makes exchanges, one after the other, until ctx ends or dialer fails. dialer waits
// for the device to be connected. Run finishes an exchange that has begun. Concurrent
// calls of Run make concurrent exchanges.
func (c *Caller) Run(ctx context.Context, dialer func(context.Context) (Dialer, error)) {
	for ctx.Err() == nil {
		d, err := dialer(ctx)
		if err != nil {
			return
		}
		c.Exchange(ctx, d)
		c.rest(ctx)
	}
}

// Exchange makes one exchange, and records its error. ctx bounds the dialling; after that
// it only ends pauses.
func (c *Caller) Exchange(ctx context.Context, d Dialer) error {
	dialled := c.calls.begin("caller's Dial")
	conn, err := d.DialContext(ctx, "", "")
	dialled()
	if ctx.Err() != nil && err != nil {
		return err // the caller gave up
	}
	if err == nil {
		st := newStream(conn, &c.calls, "caller's", c.config)
		err = c.converse(ctx, st)
		st.closeWith(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.record.Exchanges++
	c.record.outcome(err)
	return err
}

func (c *Caller) converse(ctx context.Context, st *stream) error {
	rounds := c.below(c.config.Rounds)
	for i := range rounds + 1 {
		if i > 0 {
			c.rest(ctx)
		}
		if err := c.round(st, i == rounds); err != nil {
			return err
		}
	}
	return st.end()
}

// round sends a request and reads the answer.
func (c *Caller) round(st *stream, last bool) error {
	asked := c.next(last)
	if err := asked.write(st); err != nil {
		return err
	}
	if last {
		if err := st.CloseWrite(); err != nil {
			return err
		}
	}
	answered, err := readMessage(st, answer, c.config.MaxSize)
	if err != nil {
		return err
	}
	if answered.number != asked.number || answered.last != asked.last {
		return errCorrupt
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.record.Acknowledged.add(uint32(asked.number))
	return nil
}

// next returns a request.
func (c *Caller) next(last bool) message {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := message{request, last, uint64(c.config.Number)<<32 | uint64(c.record.Sent), c.config.size(c.rand)}
	c.record.Sent++
	return m
}

// below returns a random number from 0 to n-1.
func (c *Caller) below(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rand.IntN(n)
}

func (c *Caller) rest(ctx context.Context) {
	pause(ctx, time.Duration(c.below(2*int(c.config.Pause))))
}

// Record returns what the caller knows so far.
func (c *Caller) Record() CallerRecord {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.record
	r.Acknowledged = r.Acknowledged.clone()
	r.Longest = c.calls.record()
	return r
}
