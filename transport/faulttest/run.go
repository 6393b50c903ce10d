package faulttest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/faultnet"
	"github.com/backdial/backdial/internal/test/workload"
)

// recovery is how soon a listener is back.
var recovery = silence + HandshakeTimeout + backoff.Max

// test puts a session through f.
func (f fault) test(t *testing.T, s Stack, seed uint64) {
	config := workload.Config{Seed: seed, Pause: 30 * time.Millisecond}
	switch {
	case s.Network == "tcp" && f.then != lasts:
		config.MaxSize = 2 * (256 << 10) // windows, for writers to wait
	case f.then == lasts:
		config.MaxSize = 16 << 10 // a bad path carries that in little time
	}
	if f.unnoticed(s) {
		config.Timeout = silence
	}
	r := newRig(t, s, f, config)
	began := r.clock.Now()
	r.meet(f)
	met := r.clock.Now().Sub(began)
	var report workload.Report
	switch f.then {
	case closes, endsForGood:
		report = r.leave()
	default:
		r.lift(f)
		r.back()
		if losses := r.losses(); f.then == lasts && len(losses) > 0 {
			t.Errorf("sessions have ended: %q", losses)
		}
		report = r.finish()
	}
	if f.then == lasts && report.Failed > 0 {
		t.Error("exchanges have failed")
	}
	if f.unnoticed(s) {
		report.Corrupt, report.Truncated = 0, 0
	}
	bound := silence + Slack
	if f.begin == nil { // a session may have outlived several faults
		bound += met
	}
	if err := report.Err(bound); err != nil {
		t.Error(err)
	}
	t.Log(r)
}

// meet begins f, and returns when that has had its effect.
func (r *rig) meet(f fault) {
	r.t.Helper()
	if f.begin == nil {
		r.misfortunes()
		return
	}
	dialer, err := r.dialers.Await(r.t.Context(), 0)
	if err != nil {
		r.t.Fatal(err)
	}
	f.begin(r)
	switch f.then {
	case lasts:
		r.answers(15)
	case ends, endsForGood:
		r.await(f.within+Slack, "the end of the session on both sides", func() bool {
			return len(r.losses()) > 0 && dialer.Err() != nil
		})
		r.await(backoff.Max+Slack, "an attempt to connect again", func() bool { return r.attempts.Load() > 1 })
	case mayEnd:
		r.exchanges(20)
	case recovers:
		r.back()
		r.answers(20)
	}
	if f.chance {
		r.await(patience, "harm", func() bool {
			return r.network.Harmed() > 0 && (f.then == lasts || r.caller.Record().Failed+r.caller.Record().Corrupt > 0)
		})
	}
}

// misfortunes runs several faults in a row, each of which may last long enough to end a
// session.
func (r *rig) misfortunes() {
	for range 3 {
		f := faults[r.chance.IntN(len(faults))]
		if f.begin == nil || !f.of(r.stack) || f.unnoticed(r.stack) {
			continue
		}
		r.t.Log(f.name)
		f.begin(r)
		<-time.After(time.Duration(r.chance.Int64N(int64(silence * 3 / 2))))
		r.network.Set(usual)
		<-time.After(time.Duration(r.chance.Int64N(int64(silence / 4))))
	}
}

// lift ends f. A change that nobody has noticed may have left a useless session whose ends
// both believe that the other one is well, so lift cuts it.
func (r *rig) lift(f fault) {
	r.network.Set(usual)
	if f.unnoticed(r.stack) {
		r.network.(*faultnet.TCP).Cut(faultnet.Reset)
	}
}

// back makes sure that the listener is back: it answers new requests.
func (r *rig) back() {
	r.t.Helper()
	before := r.caller.Record().Sent
	r.await(recovery+Slack, "an answer to a new request", func() bool {
		now := r.caller.Record()
		for n := before; n < now.Sent; n++ {
			if now.Acknowledged.Has(n) {
				return true
			}
		}
		return false
	})
}

// finish closes everything, each part within its time, and returns the outcome.
func (r *rig) finish() workload.Report {
	r.t.Helper()
	r.stop()
	r.within(patience, "the end of the last exchange", r.calling.Wait)
	r.within(linger+Slack, "Close of the listener", func() {
		r.listener.Close()
		r.serving.Wait()
	})
	r.within(linger+Slack, "Close of the server", func() { r.server.Close() })
	return workload.Verify(r.caller.Record(), r.device.Record())
}

// leave is finish while nothing passes: it does not wait for exchanges, which fail. Each side
// has a little patience, or none.
func (r *rig) leave() workload.Report {
	r.t.Helper()
	r.stop()
	ctx, cancel := context.WithTimeout(r.t.Context(), linger/2)
	defer cancel()
	gently := []bool{r.chance.IntN(2) == 0, r.chance.IntN(2) == 0}
	r.within(linger/2+linger+Slack, "Close or Shutdown of both sides", func() {
		var closing sync.WaitGroup
		for i, side := range []interface {
			Close() error
			Shutdown(context.Context) error
		}{r.listener, r.server} {
			closing.Go(func() {
				if gently[i] {
					side.Shutdown(ctx)
				} else {
					side.Close()
				}
			})
		}
		closing.Wait()
	})
	r.within(Slack, "the end of calls after that", func() {
		r.serving.Wait()
		r.calling.Wait()
	})
	return workload.Verify(r.caller.Record(), r.device.Record())
}
