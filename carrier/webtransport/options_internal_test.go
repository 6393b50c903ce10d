package webtransport

import (
	"math"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/setting"
)

// TestSettings sets each time and number to 0, to a positive and to a negative value.
func TestSettings(t *testing.T) {
	for d, want := range map[time.Duration][2]time.Duration{ // keepalive and idle timeout
		0:           {20 * time.Second, 45 * time.Second},
		time.Second: {time.Second, time.Second},
		-1:          {0, setting.Forever},
	} {
		q := New(WithKeepAlive(d), WithIdleTimeout(d)).quicConfig(nil, 1)
		if q.KeepAlivePeriod != want[0] || q.MaxIdleTimeout != want[1] {
			t.Errorf("with %v: a keepalive of %v and a timeout of %v, want %v", d, q.KeepAlivePeriod, q.MaxIdleTimeout, want)
		}
	}
	for d, want := range map[time.Duration]time.Duration{0: 10 * time.Second, time.Second: time.Second, -1: 0} { // 0 is no bound
		ctx, cancel := New(WithHandshakeTimeout(d)).bound(t.Context())
		deadline, ok := ctx.Deadline()
		cancel()
		if got := time.Until(deadline); ok != (want > 0) || ok && (got > want || got < want/2) {
			t.Errorf("with %v: a handshake timeout of %v, %t, want %v", d, got, ok, want)
		}
	}
	for n, want := range map[int][2]int{0: {1 << 16, 64}, 7: {7, 7}, -1: {math.MaxInt, math.MaxInt}} {
		if c := New(WithMaxStreams(7, 7), WithMaxStreams(n, n)); c.clientStreams != want[0] || c.serverStreams != want[1] {
			t.Errorf("with %d: %d streams of a server, and %d of a client, want %v", n, c.clientStreams, c.serverStreams, want)
		}
	}
	for n, want := range map[int][3]int{0: {512 << 10, 6 << 20, 96 << 20}, 7: {7, 7, 7}, -1: {512 << 10, 6 << 20, 96 << 20}} {
		if c := New(WithWindows(n, n, n)); [3]int{c.streamWindow, c.maxStreamWindow, c.connWindow} != want {
			t.Errorf("with %d: windows of %d, %d and %d, want %v", n, c.streamWindow, c.maxStreamWindow, c.connWindow, want)
		}
	}
}
