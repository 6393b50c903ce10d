package clustertest_test

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/cluster"
)

// A locate is a Locate that uses a sound one.
type locate func(l *cluster.Local, ctx context.Context, id string, except []string) (cluster.Claim, error)

// remembering finds clients where they were.
func remembering(found *sync.Map) locate {
	return func(l *cluster.Local, ctx context.Context, id string, except []string) (cluster.Claim, error) {
		if c, ok := found.Load(id); ok && len(except) == 0 {
			return c.(cluster.Claim), nil
		}
		c, err := l.Locate(ctx, id, except...)
		if err == nil {
			found.Store(id, c)
		}
		return c, err
	}
}

// mixing returns what was found last, by anybody.
func mixing(last *atomic.Pointer[cluster.Claim]) locate {
	return func(l *cluster.Local, ctx context.Context, id string, except []string) (cluster.Claim, error) {
		c, err := l.Locate(ctx, id, except...)
		if err != nil {
			return c, err
		}
		last.Store(&c)
		<-time.After(time.Millisecond)
		return *last.Load(), nil
	}
}

// keeping does not detach.
type keeping struct{ cluster.Member }

func (keeping) Detach(string) {}

// open does not close.
type open struct{ cluster.Member }

func (open) Close() error { return nil }

// deaf does not hear of rivals.
type deaf struct{ cluster.Holder }

func (deaf) Rival(cluster.Claim) {}

// selfish hears of itself.
type selfish struct {
	cluster.Member
	holder cluster.Holder
}

func (s selfish) Attach(c cluster.Claim) {
	s.Member.Attach(c)
	s.holder.Rival(c)
}

// once attaches each client once.
type once struct {
	cluster.Member
	attached map[string]bool
}

func (o *once) Attach(c cluster.Claim) {
	if !o.attached[c.ID] {
		o.attached[c.ID] = true
		o.Member.Attach(c)
	}
}

func (o *once) Detach(id string) {
	delete(o.attached, id)
	o.Member.Detach(id)
}

// keepFirst drops what comes while something waits.
func keepFirst(ctx context.Context, from <-chan cluster.Claim) <-chan cluster.Claim {
	to := make(chan cluster.Claim, 1)
	go func() {
		for {
			select {
			case c := <-from:
				select {
				case to <- c:
				default:
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return to
}

// costly has a goroutine for each client.
type costly struct {
	cluster.Member
	done chan struct{}
	once sync.Once
}

func (c *costly) Attach(claim cluster.Claim) {
	c.Member.Attach(claim)
	go func() { <-c.done }()
}

func (c *costly) Close() error {
	c.once.Do(func() { close(c.done) })
	return c.Member.Close()
}
