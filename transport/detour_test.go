package transport_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/transport"
)

const (
	headStart = 300 * time.Millisecond // the default
	timeout   = 10 * time.Second       // the default
)

// A way decides what becomes of a Dial. dial does the rest of it.
type way func(ctx context.Context, dial dialCarrier) (carrier.Conn, error)

type dialCarrier func(context.Context) (carrier.Conn, error)

func works(ctx context.Context, dial dialCarrier) (carrier.Conn, error) { return dial(ctx) }

// blackHole never answers.
func blackHole(ctx context.Context, _ dialCarrier) (carrier.Conn, error) {
	<-ctx.Done()
	return nil, fmt.Errorf("black hole: %w", context.Cause(ctx))
}

// refuses fails at once.
func refuses(err error) way {
	return func(context.Context, dialCarrier) (carrier.Conn, error) { return nil, fmt.Errorf("refuses: %w", err) }
}

// slowly takes d before it goes on, unless ctx ends.
func slowly(d time.Duration, w way) way {
	return func(ctx context.Context, dial dialCarrier) (carrier.Conn, error) {
		select {
		case <-time.After(d):
			return w(ctx, dial)
		case <-ctx.Done():
			return blackHole(ctx, nil)
		}
	}
}

func slow(d time.Duration) way { return slowly(d, works) }

// late connects after a while, whether anybody still wants it or not.
func late(d time.Duration) way {
	return func(ctx context.Context, dial dialCarrier) (carrier.Conn, error) {
		time.Sleep(d)
		return dial(context.WithoutCancel(ctx))
	}
}

// A detour is a carrier with a way of its own.
type detour struct {
	carrier.Carrier
	name string

	mu  sync.Mutex
	way way
}

func (c *detour) Name() string { return c.name }

func (c *detour) set(w way) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.way = w
}

func (c *detour) Dial(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
	c.mu.Lock()
	w := c.way
	c.mu.Unlock()
	return w(ctx, func(ctx context.Context) (carrier.Conn, error) { return c.Carrier.Dial(ctx, r) })
}

// detours returns carriers called a, b and so on.
func detours(by carrier.Carrier, ways ...way) (all []*detour, option transport.ClientOption) {
	var carriers []carrier.Carrier
	for i, w := range ways {
		d := &detour{Carrier: by, name: string(rune('a' + i)), way: w}
		all, carriers = append(all, d), append(carriers, d)
	}
	return all, transport.WithCarriers(carriers...)
}

// A diary is what a Trace was told, and when.
type diary struct {
	mu    sync.Mutex
	start time.Time
	lines []string
}

func (d *diary) add(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	line := fmt.Sprintf(format, args...)
	d.lines = append(d.lines, fmt.Sprintf("%v %s", time.Since(d.start).Round(time.Millisecond), line))
}

// take returns the lines since the last call, and begins a new page.
func (d *diary) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	lines := d.lines
	d.start, d.lines = time.Now(), nil
	return lines
}

func (d *diary) trace() transport.Trace {
	return transport.Trace{
		DialPassedOver: func(carrier string, until time.Time, err error) {
			d.add("%s passed over for %v", carrier, time.Until(until).Round(time.Second))
		},
		DialStarted: func(carrier string) { d.add("%s started", carrier) },
		DialFailed: func(carrier string, err error) {
			if errors.Is(err, transport.ErrLostRace) {
				d.add("%s lost", carrier)
			} else {
				d.add("%s failed", carrier)
			}
		},
		ClientConnected: func(i transport.Info) { d.add("%s connected", i.Carrier) },
		ClientGone:      func(i transport.Info, _ error) { d.add("%s gone", i.Carrier) },
	}
}

func (d *diary) expect(t *testing.T, want ...string) {
	t.Helper()
	if got := d.take(); !slices.Equal(got, want) {
		t.Errorf("events\n\t%q, want\n\t%q", got, want)
	}
}

// inMemory serves mem://server until t is done. Sessions of the server are
// written into the diary.
func inMemory(t *testing.T) (*mem.Carrier, *diary) {
	network, told := mem.New(), new(diary)
	server := serverFunc(t, nil, transport.WithCarriers(network), transport.WithTrace(told.trace()))
	server.Addr = "server"
	served := make(chan error, 1)
	go func() { served <- server.ListenAndServe() }()
	t.Cleanup(func() {
		server.Close()
		if err := <-served; err != transport.ErrServerClosed {
			t.Errorf("ListenAndServe: %v", err)
		}
	})
	synctest.Wait()
	told.take()
	return network, told
}
