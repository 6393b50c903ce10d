package ws

import (
	"testing"
	"time"
)

func TestSettings(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{0: 10 * time.Second, time.Second: time.Second, -1: -1} { // less than 0 is no bound
		if got := New(WithHandshakeTimeout(d)).dialTimeout(t.Context()); got != want {
			t.Errorf("with %v: a handshake timeout of %v, want %v", d, got, want)
		}
	}
}
