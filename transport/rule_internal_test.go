package transport

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/setting"
)

// TestRule sets each number and time of an option to 0, to something, and to less than 0.
func TestRule(t *testing.T) {
	type rule struct {
		set                       func(v int64) any // an option
		get                       func(c config) int64
		some, byDefault, negative int64
	}
	duration := func(option func(time.Duration) any, get func(c config) time.Duration, byDefault, negative time.Duration) rule {
		return rule{
			func(v int64) any { return option(time.Duration(v)) }, func(c config) int64 { return int64(get(c)) },
			7, int64(byDefault), int64(negative),
		}
	}
	address := func(set func(l *AddressLimits, v int), get func(l AddressLimits) int, byDefault, negative int64) rule {
		return rule{func(v int64) any {
			var l AddressLimits
			set(&l, int(v))
			return WithAddressLimits(l)
		}, func(c config) int64 { return int64(get(c.address)) }, 7, byDefault, negative}
	}
	backoff := func(set func(b *Backoff, v time.Duration), get func(b Backoff) time.Duration, some, byDefault time.Duration) rule {
		return rule{func(v int64) any {
			var b Backoff
			set(&b, time.Duration(v))
			return WithReconnect(b)
		}, func(c config) int64 { return int64(get(*c.backoff)) }, int64(some), int64(byDefault), int64(byDefault)}
	}
	for name, test := range map[string]rule{
		"WithHandshakeTimeout": duration(func(d time.Duration) any { return WithHandshakeTimeout(d) }, func(c config) time.Duration { return c.handshakeTimeout }, 10*time.Second, setting.Forever),
		"WithHeadStart":        duration(func(d time.Duration) any { return WithHeadStart(d) }, func(c config) time.Duration { return c.headStart }, 300*time.Millisecond, -1),
		"WithCloseGrace":       duration(func(d time.Duration) any { return WithCloseGrace(d) }, func(c config) time.Duration { return c.closeGrace }, 5*time.Second, -1),
		"WithMaxAge":           duration(func(d time.Duration) any { return WithMaxAge(d) }, func(c config) time.Duration { return c.maxAge }, 24*time.Hour, -1),
		"WithDrainSpread":      duration(func(d time.Duration) any { return WithDrainSpread(d) }, func(c config) time.Duration { return c.drainSpread }, 0, -1), // depends on how many there are
		"WithKeepAlive, interval": duration(func(d time.Duration) any { return WithKeepAlive(d, 0) },
			func(c config) time.Duration { return c.session.WithDefaults().KeepAlive }, 15*time.Second, -1),
		"WithKeepAlive, timeout": duration(func(d time.Duration) any { return WithKeepAlive(20*time.Second, d) },
			func(c config) time.Duration { return c.session.WithDefaults().KeepAliveTimeout }, 15*time.Second, 20*time.Second),
		"WithMaxSessions":          {func(v int64) any { return WithMaxSessions(int(v)) }, func(c config) int64 { return int64(c.maxSessions) }, 7, 65536, math.MaxInt},
		"WithMaxHandshakes":        {func(v int64) any { return WithMaxHandshakes(int(v)) }, func(c config) int64 { return int64(c.maxHandshakes) }, 7, 1024, math.MaxInt},
		"AddressLimits.Sessions":   address(func(l *AddressLimits, v int) { l.Sessions = v }, func(l AddressLimits) int { return l.Sessions }, 0, -1),
		"AddressLimits.Handshakes": address(func(l *AddressLimits, v int) { l.Handshakes = v }, func(l AddressLimits) int { return l.Handshakes }, 0, -1),
		"AddressLimits.IPv6Prefix": address(func(l *AddressLimits, v int) { l.IPv6Prefix = v }, func(l AddressLimits) int { return l.IPv6Prefix }, 64, 128),
		"Backoff.Min":              backoff(func(b *Backoff, v time.Duration) { b.Min = v }, func(b Backoff) time.Duration { return b.Min }, 7, defaultBackoffMin),
		"Backoff.Max":              backoff(func(b *Backoff, v time.Duration) { b.Max = v }, func(b Backoff) time.Duration { return b.Max }, time.Minute, defaultBackoffMax),
		"Backoff.MaxRefused":       backoff(func(b *Backoff, v time.Duration) { b.MaxRefused = v }, func(b Backoff) time.Duration { return b.MaxRefused }, time.Hour, defaultBackoffMaxRefused),
		"Backoff.Stable":           backoff(func(b *Backoff, v time.Duration) { b.Stable = v }, func(b Backoff) time.Duration { return b.Stable }, 7, defaultBackoffStable),
	} {
		for v, want := range map[int64]int64{0: test.byDefault, test.some: test.some, -1: test.negative, math.MinInt32: test.negative} {
			var c config
			switch o := test.set(v).(type) {
			case ClientOption:
				o.applyClient(&c)
			case ServerOption:
				o.applyServer(&c)
			}
			got := test.get(c.withDefaults())
			if got < 0 && want < 0 {
				continue // that is never
			}
			if got != want {
				t.Errorf("%s: %d is %d, want %d", name, v, got, want)
			}
		}
	}
}

// TestNoAddressLimits expects that nobody is counted where no limit is positive.
func TestNoAddressLimits(t *testing.T) {
	for _, limits := range []AddressLimits{{}, {Sessions: -1}, {Handshakes: -1}, {Sessions: -1, Handshakes: -1}} {
		s := NewServer(nil, WithAddressLimits(limits))
		s.init()
		r := &http.Request{RemoteAddr: "192.0.2.1:1234"}
		from := s.config.address.sourceOf(r)
		for range 100 {
			if err := s.checkSourceLocked(from); err != nil {
				t.Errorf("%+v: %v", limits, err)
			}
			s.useLocked(from, 0, 1)
		}
		if len(s.usage) > 0 {
			t.Errorf("%+v: %v are counted", limits, s.usage)
		}
	}
}
