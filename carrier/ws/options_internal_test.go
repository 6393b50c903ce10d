package ws

import (
	"testing"
	"time"
)

func TestSettings(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{0: 10 * time.Second, time.Second: time.Second, -1: 0} { // 0 is no bound
		ctx, cancel := New(WithHandshakeTimeout(d)).bound(t.Context())
		deadline, ok := ctx.Deadline()
		cancel()
		if got := time.Until(deadline); ok != (want > 0) || ok && (got > want || got < want/2) {
			t.Errorf("with %v: a handshake timeout of %v, %t, want %v", d, got, ok, want)
		}
	}
}
