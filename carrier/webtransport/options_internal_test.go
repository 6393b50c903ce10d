package webtransport

import (
	"testing"
	"time"

	"github.com/backdial/backdial/internal/setting"
)

// TestSettings sets each time to 0, to something and to less than 0.
func TestSettings(t *testing.T) {
	for d, want := range map[time.Duration][2]time.Duration{ // keepalive and idle timeout
		0:           {10 * time.Second, 45 * time.Second},
		time.Second: {time.Second, time.Second},
		-1:          {0, setting.Forever},
	} {
		q := New(WithKeepAlive(d), WithIdleTimeout(d)).quicConfig(nil, 1)
		if q.KeepAlivePeriod != want[0] || q.MaxIdleTimeout != want[1] {
			t.Errorf("with %v: a keepalive of %v and a timeout of %v, want %v", d, q.KeepAlivePeriod, q.MaxIdleTimeout, want)
		}
	}
}
