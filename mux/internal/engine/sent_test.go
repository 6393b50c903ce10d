package engine_test

import (
	"io"
	"testing"

	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
)

// TestFinishedStreamsDoNotCount opens more streams than the limit. Both ends have
// finished the earlier ones, but closed none.
func TestFinishedStreamsDoNotCount(t *testing.T) {
	each(t, func(t *testing.T, m mux.Muxer) {
		a, b := testnet.Pair(t)
		d, l := sessions(t, m, a, b, mux.Config{}, mux.Config{MaxStreams: 1})
		for range 3 {
			dialled, accepted := stream(t, d, l)
			if err := dialled.CloseWrite(); err != nil {
				t.Fatal("close write:", err)
			}
			if _, err := io.ReadAll(accepted); err != nil {
				t.Fatal("read:", err)
			}
			if err := accepted.CloseWrite(); err != nil {
				t.Fatal("close write:", err)
			}
			if _, err := io.ReadAll(dialled); err != nil {
				t.Fatal("read:", err)
			}
		}
	})
}
