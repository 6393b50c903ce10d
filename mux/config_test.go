package mux_test

import (
	"math"
	"testing"
	"time"

	"github.com/backdial/backdial/mux"
)

// TestConfigRule sets each number and time to 0, to something, and to less than 0.
func TestConfigRule(t *testing.T) {
	noLimit := int(min(int64(1)<<40, math.MaxInt))
	for name, test := range map[string]struct {
		set       func(c *mux.Config, v int)
		get       func(mux.Config) int
		some      int
		byDefault int
		negative  int
	}{
		"MaxStreams":       {func(c *mux.Config, v int) { c.MaxStreams = v }, func(c mux.Config) int { return c.MaxStreams }, 7, 16384, -1}, // none
		"AcceptBacklog":    {func(c *mux.Config, v int) { c.AcceptBacklog = v }, func(c mux.Config) int { return c.AcceptBacklog }, 7, 256, 16384},
		"Window":           {func(c *mux.Config, v int) { c.Window = v }, func(c mux.Config) int { return c.Window }, 1 << 20, 256 << 10, 256 << 10},
		"MaxWindow":        {func(c *mux.Config, v int) { c.MaxWindow = v }, func(c mux.Config) int { return c.MaxWindow }, 1 << 20, 16 << 20, 256 << 10}, // it does not grow
		"ReceiveBuffer":    {func(c *mux.Config, v int) { c.ReceiveBuffer = v }, func(c mux.Config) int { return c.ReceiveBuffer }, 1 << 20, 64 << 20, noLimit},
		"KeepAlive":        {func(c *mux.Config, v int) { c.KeepAlive = seconds(v) }, func(c mux.Config) int { return int(c.KeepAlive / time.Second) }, 20, 15, -1},
		"KeepAliveTimeout": {func(c *mux.Config, v int) { c.KeepAliveTimeout = seconds(v) }, func(c mux.Config) int { return int(c.KeepAliveTimeout / time.Second) }, 7, 15, 15},
		"Linger":           {func(c *mux.Config, v int) { c.Linger = seconds(v) }, func(c mux.Config) int { return int(c.Linger / time.Second) }, 7, 3, -1},
	} {
		for v, want := range map[int]int{0: test.byDefault, test.some: test.some, -1: test.negative} {
			var c mux.Config
			test.set(&c, v)
			if got := test.get(c.WithDefaults()); got != want {
				t.Errorf("with %d, %s is %d, want %d", v, name, got, want)
			}
		}
	}
	if got := (mux.Config{MaxStreams: 1 << 20, AcceptBacklog: -1}).WithDefaults().AcceptBacklog; got != 1<<20 {
		t.Errorf("a backlog without a limit is %d, want MaxStreams", got)
	}
	if got := (mux.Config{KeepAlive: time.Second, KeepAliveTimeout: time.Minute}).WithDefaults().KeepAliveTimeout; got != time.Second {
		t.Errorf("the timeout of the keepalive is %v, want its interval", got)
	}
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
