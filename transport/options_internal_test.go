package transport

import (
	"math"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/setting"
)

// TestSettings sets each number and time to 0, to something and to less than 0.
func TestSettings(t *testing.T) {
	for name, test := range map[string]struct {
		set  func(n int) ServerOption
		get  func(c config) int64
		want [3]int64 // for 0, 7 and -1
	}{
		"WithHandshakeTimeout": {
			func(n int) ServerOption { return WithHandshakeTimeout(time.Duration(n)) },
			func(c config) int64 { return int64(c.handshakeTimeout) },
			[3]int64{int64(10 * time.Second), 7, int64(setting.Forever)},
		},
		"WithMaxSessions":   {WithMaxSessions, func(c config) int64 { return int64(c.maxSessions) }, [3]int64{65536, 7, math.MaxInt}},
		"WithMaxHandshakes": {WithMaxHandshakes, func(c config) int64 { return int64(c.maxHandshakes) }, [3]int64{1024, 7, math.MaxInt}},
		"WithMaxAge": {
			func(n int) ServerOption { return WithMaxAge(time.Duration(n)) },
			func(c config) int64 { return int64(c.maxAge) },
			[3]int64{int64(24 * time.Hour), 7, -1},
		},
		"WithKeepAlive": {
			func(n int) ServerOption { return WithKeepAlive(time.Duration(n), 0) },
			func(c config) int64 { return int64(c.session.WithDefaults().KeepAlive) },
			[3]int64{int64(15 * time.Second), 7, -1},
		},
	} {
		for i, n := range []int{0, 7, -1} {
			var c config
			test.set(n).applyServer(&c)
			if got := test.get(c.withDefaults()); got != test.want[i] {
				t.Errorf("%s(%d) is %d, want %d", name, n, got, test.want[i])
			}
		}
	}
}

// TestOptions carries several options as one, to either end.
func TestOptions(t *testing.T) {
	both := Options(WithHandshakeTimeout(time.Second), Options(WithRequireNegotiation()), WithHandshakeTimeout(time.Minute))
	var client, server config
	both.applyClient(&client)
	both.applyServer(&server)
	for _, c := range []config{client, server} {
		if c.handshakeTimeout != time.Minute || !c.requireNegotiation {
			t.Errorf("%v, %t", c.handshakeTimeout, c.requireNegotiation)
		}
	}
}
