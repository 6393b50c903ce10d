//go:build unix

package proxytest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/workload"
	"github.com/backdial/backdial/transport"
)

// backoff is how soon clients of a fleet connect again.
var backoff = transport.Backoff{Min: 50 * time.Millisecond, Max: 500 * time.Millisecond}

// A fleet is a device for each way through a proxy. All reconnect, and are asked all the
// time. It is the handler of its servers.
type fleet struct {
	workload.Dialers
	t       *testing.T
	devices []*device
	stop    context.CancelFunc // after it no exchange begins
	asking  sync.WaitGroup
}

type device struct {
	way
	number  uint32
	lis     *transport.Listener
	answers *workload.Device
	caller  *workload.Caller

	mu       sync.Mutex // guards below
	changes  []transport.StateChange
	outcomes [workload.Classes]int // of exchanges
}

// start connects all devices, and waits until there are answers.
func (f *fleet) start(t *testing.T, p *proxy) {
	t.Helper()
	f.t = t
	var running context.Context
	running, f.stop = context.WithCancel(context.Background())
	t.Cleanup(func() {
		f.stop()
		f.asking.Wait()
	})
	for i, w := range ways() {
		config := workload.Config{Number: uint32(i), MaxSize: 128 << 10, Seed: uint64(i)}
		dev := &device{
			way: w, number: config.Number,
			answers: workload.NewDevice(config), caller: workload.NewCaller(config),
		}
		var err error
		dev.lis, err = p.listen(t, w, workload.Header(dev.number), transport.WithReconnect(backoff),
			transport.WithTrace(transport.Trace{StateChanged: dev.changed}))
		if err != nil {
			t.Fatal(err)
		}
		f.devices = append(f.devices, dev)
		f.asking.Go(func() { f.ask(running, dev) })
		go dev.answers.Serve(dev.lis) // ends with the listener
	}
	f.answer(10)
}

func (d *device) changed(c transport.StateChange) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes = append(d.changes, c)
}

// ask makes exchanges, one after the other, until ctx ends.
func (f *fleet) ask(ctx context.Context, dev *device) {
	for {
		d, err := f.Await(ctx, dev.number)
		if err != nil {
			return
		}
		err = dev.caller.Exchange(ctx, d)
		if ctx.Err() != nil {
			return
		}
		dev.mu.Lock()
		dev.outcomes[workload.ClassOf(err)]++
		dev.mu.Unlock()
		if err != nil {
			<-time.After(tick) // it has another session soon
		}
	}
}

// floods starts a flood for each way, and waits until all of them flow.
func (f *fleet) floods(p *proxy) (all []*flood) {
	f.t.Helper()
	for i, w := range ways() {
		number := uint32(len(f.devices) + i)
		lis, err := p.listen(f.t, w, workload.Header(number))
		if err != nil {
			f.t.Fatal(err)
		}
		all = append(all, startFlood(f.t, "flood of "+w.name, f.session(number), lis))
	}
	for _, one := range all {
		await.Until(f.t, one.name, one.flows)
	}
	return all
}

// answer waits until each device has answered n more requests.
func (f *fleet) answer(n int) {
	f.t.Helper()
	for _, dev := range f.devices {
		answered := func() int { return dev.caller.Record().Acknowledged.Len() }
		enough := answered() + n
		await.Until(f.t, "answers of "+dev.name, func() bool { return answered() >= enough })
	}
}

// sessions waits for a session of each device, and returns them.
func (f *fleet) sessions() (all []*transport.Dialer) {
	f.t.Helper()
	for _, dev := range f.devices {
		all = append(all, f.session(dev.number))
	}
	return all
}

// session waits for a session of a client, and returns it.
func (f *fleet) session(number uint32) *transport.Dialer {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	d, err := f.Await(ctx, number)
	if err != nil {
		f.t.Fatalf("waiting for client %d: %v", number, err)
	}
	return d
}

// leave shuts a server down, whose clients move.
func (f *fleet) leave(s *server) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		f.t.Error("shutdown:", err)
	}
}

// arrive waits until all devices are connected to a server.
func (f *fleet) arrive(name string) {
	f.t.Helper()
	await.Until(f.t, "all devices at "+name, func() bool {
		return !slices.ContainsFunc(f.sessions(), func(d *transport.Dialer) bool { return at(d) != name })
	})
}

// check stops everything. Nothing may be lost, truncated or corrupted. Exchanges may have
// failed only in the given ways.
func (f *fleet) check(may ...workload.Class) {
	f.t.Helper()
	f.stop()
	f.asking.Wait()
	for _, dev := range f.devices {
		dev.lis.Close()
		report := workload.Verify(dev.caller.Record(), dev.answers.Record())
		if slices.Contains(may, workload.Corrupt) {
			report.Corrupt = 0
		}
		if err := report.Err(patience); err != nil {
			f.t.Errorf("%s: %v", dev.name, err)
		}
		for class, n := range dev.outcomes {
			if c := workload.Class(class); n > 0 && c != workload.Done && !slices.Contains(may, c) {
				f.t.Errorf("%s: %d exchanges failed in class %d, the last one with %s", dev.name, n, c, report.Reason)
			}
		}
	}
}

// stay checks that no device was without a session, and if atOnce is set, that none had
// to try more than once to move.
func (f *fleet) stay(atOnce bool) {
	f.t.Helper()
	for _, dev := range f.devices {
		dev.mu.Lock()
		for _, c := range dev.changes {
			if c.To != transport.StateConnected && c.To != transport.StateMoving {
				f.t.Errorf("%s has been %v: %v", dev.name, c.To, c.Err)
			} else if c.Err != nil && atOnce {
				f.t.Errorf("%s has failed to move: %v", dev.name, c.Err)
			}
		}
		dev.mu.Unlock()
	}
}
