package cluster

import (
	"testing"
	"time"

	"github.com/backdial/backdial/internal/setting"
)

// TestSettings sets each time to 0, to something, and to less than 0.
func TestSettings(t *testing.T) {
	for d, want := range map[time.Duration][2]time.Duration{
		0:           {time.Second, 90 * time.Second},
		time.Minute: {time.Minute, time.Minute},
		-1:          {setting.Forever, setting.Forever},
	} {
		var c config
		WithTryTimeout(d)(&c)
		WithIdleTimeout(d)(&c)
		if err := c.check(true); err != nil {
			t.Fatal(err)
		}
		if c.tryTimeout != want[0] || c.idle != want[1] {
			t.Errorf("with %v: %v for a try, and %v without use, want %v", d, c.tryTimeout, c.idle, want)
		}
	}
}
