package qmux

import (
	"testing"

	"github.com/backdial/backdial/mux"
)

func TestInflow(t *testing.T) {
	const kib, mib = 1 << 10, 1 << 20
	for _, test := range []struct {
		name   string
		config mux.Config
		held   int64
		window uint64 // at first
		room   uint64 // while that is held
	}{
		{"default", mux.Config{}, 10 * mib, 24 * mib, 24 * mib},
		{"default, half full", mux.Config{}, 32 * mib, 24 * mib, 24 * mib},
		{"default, nearly full", mux.Config{}, 60 * mib, 24 * mib, 4 * mib},
		{"default, full", mux.Config{}, 64*mib + 1, 24 * mib, 256 * kib},
		{"windows that do not grow", mux.Config{MaxWindow: 1}, 0, 4 * mib, 4 * mib},
		{"small buffer", mux.Config{ReceiveBuffer: mib}, 500 * kib, mib, 524 * kib},
		{"tiny buffer", mux.Config{ReceiveBuffer: 10}, 0, 256 * kib, 256 * kib},
	} {
		t.Run(test.name, func(t *testing.T) {
			var f inflow
			config := test.config.WithDefaults()
			f.init(&config)
			if f.allowed != test.window {
				t.Errorf("window of %d bytes, want %d", f.allowed, test.window)
			}
			if f.receive(f.allowed + 1) {
				t.Error("more than the window may arrive")
			}
			const step = 1000
			for f.receive(step) {
				if before := f.allowed; f.extend(test.held) {
					if got := f.allowed - f.received; got != max(test.room, before-f.received) {
						t.Errorf("room for %d bytes, want %d", got, test.room)
					}
					return
				}
			}
			t.Error("the window is used up, and not extended")
		})
	}
}
