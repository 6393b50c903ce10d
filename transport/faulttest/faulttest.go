// Package faulttest runs what this library promises on failing networks, on a stack of a
// carrier and a multiplexer. The test of a combination is one call:
//
//	func TestFaults(t *testing.T) {
//		faulttest.Test(t, faulttest.Stack{
//			Stack:   transporttest.Stack{Target: carriertest.Target{Carrier: ws.New()}, Muxer: yamuxmux.New()},
//			Network: "tcp",
//		})
//	}
//
// Every [Fault] is a subtest with its name, and all of them run at the same time. In each, a
// server asks a device, over and over, through a network that gets the fault in the middle of
// that, and later loses it. Whatever happens,
//
//   - an acknowledged request was delivered, none was delivered twice, and no stream ends
//     early as if that was meant;
//   - a session whose path is dead ends on both sides within [KeepAlive] + [KeepAliveTimeout],
//     and no call takes longer than that;
//   - the listener is back when the fault is gone: within [KeepAlive] + [KeepAliveTimeout],
//     for a session that looks alive, + [HandshakeTimeout], for an attempt that came too
//     early, + the longest wait between attempts;
//   - a session survives a path that is merely bad, and nothing fails on it;
//   - no goroutine is left when everything is closed.
//
// All of that may take a little longer ([Slack]) on a busy machine, and time does not count
// while the machine stands still.
//
// Faults that change bits are an exception: without TLS nothing can notice in every case, so
// an exchange may fail in any way, but not silently.
//
// Chance follows a seed, which the test prints. The environment variable
// BACKDIAL_FAULTTEST_SEED sets it.
package faulttest

import (
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
	"github.com/backdial/backdial/transport/transporttest"
)

// The settings of sessions under test. A carrier's own timeouts should be a few seconds: a
// connection that neither end knows to close lives that long.
const (
	KeepAlive        = time.Second
	KeepAliveTimeout = time.Second
	HandshakeTimeout = 4 * time.Second

	// Slack is for a loaded machine under the race detector.
	Slack = 3 * time.Second
)

// silence is the time after which an end knows that its path is dead.
const silence = KeepAlive + KeepAliveTimeout

// linger is how long closing a session takes at most.
const linger = time.Second

// backoff makes a client connect again soon.
var backoff = transport.Backoff{Min: 50 * time.Millisecond, Max: 200 * time.Millisecond}

// limits returns the limits of sessions under f.
func (s Stack) limits(f fault) mux.Config {
	c := mux.Config{KeepAlive: KeepAlive, KeepAliveTimeout: KeepAliveTimeout, Linger: linger}
	if f.then == lasts { // a busy machine must not end it
		c.KeepAlive, c.KeepAliveTimeout = 20*KeepAlive, 20*KeepAliveTimeout
	}
	if s.CarrierNotices {
		c.KeepAlive = -1
	}
	return c
}

// A Stack is a combination to test.
type Stack struct {
	transporttest.Stack

	// Network is what the carrier's connections run on: "tcp" or "udp".
	Network string

	// CarrierNotices makes the multiplexer do without a keepalive, because the carrier notices
	// a dead path within [KeepAlive] + [KeepAliveTimeout].
	CarrierNotices bool
}

// seedEnv is the name of the variable with the seed.
const seedEnv = "BACKDIAL_FAULTTEST_SEED"

// Test runs a subtest for every fault, or for the named ones. They run in parallel. When all
// of them are done, no goroutine must be left, so nothing else can run at the same time.
func Test(t *testing.T, s Stack, only ...Fault) {
	t.Helper()
	leak.Check(t)
	seed := rand.Uint64()
	if text := os.Getenv(seedEnv); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedEnv, err)
		}
	}
	t.Logf("%s=%d", seedEnv, seed)
	for _, f := range faults {
		if !f.of(s) || len(only) > 0 && !slices.Contains(only, f.name) {
			continue
		}
		t.Run(string(f.name), func(t *testing.T) {
			t.Parallel()
			f.test(t, s, seed^hash(t.Name()))
		})
	}
}

// hash gives every test a chance of its own.
func hash(name string) uint64 {
	h := fnv.New64a()
	io.WriteString(h, name)
	return h.Sum64()
}
