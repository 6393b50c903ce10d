package ws_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"runtime"
	"slices"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/chaff"
)

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestHostile uses a peer that announces what it does not send, and sends without end.
// The cost must not grow with that.
func TestHostile(t *testing.T) {
	const n = 300_000
	masked := &peer{masks: true}
	repeated := func(first []byte, frame []byte) []byte { return slices.Concat(first, bytes.Repeat(frame, n)) }
	message := masked.frame(fin|binary2, "x")
	start, empty, one := masked.frame(binary2, ""), masked.frame(continuation, ""), masked.frame(continuation, "x")
	for _, test := range []struct {
		name   string
		says   []byte
		limit  int
		want   int // messages
		err    error
		memory uint64
	}{
		{"AnnouncedFrame", masked.frameOf(fin|binary2, math.MaxInt, "x"), math.MaxInt, 0, io.ErrUnexpectedEOF, 16 << 10},
		{"AnnouncedPiece", masked.frameOf(binary2, math.MaxInt, "x"), math.MaxInt, 0, io.ErrUnexpectedEOF, 16 << 10},
		{"AnnouncedContinuation", slices.Concat(start, masked.frameOf(continuation, math.MaxInt, "x")), math.MaxInt, 0, io.ErrUnexpectedEOF, 16 << 10},
		{"EmptyPieces", repeated(start, empty), 64 << 10, 0, ws.ErrChaff, 16 << 10},
		{"BytePieces", repeated(start, one), 64 << 10, 0, carrier.ErrMessageSize, 256 << 10},
		{"Pings", repeated(message, masked.frame(fin|ping, xs(125))), 64 << 10, 1, ws.ErrChaff, n * 8},
		{"Pongs", repeated(message, masked.frame(fin|pong, xs(125))), 64 << 10, 1, ws.ErrChaff, 16 << 10},
		{"EmptyMessages", repeated(nil, masked.frame(fin|binary2, "")), 64 << 10, 2*chaff.Max - 1, ws.ErrChaff, 16 << 10},
		{"ByteMessages", repeated(nil, message), 64 << 10, n, io.ErrUnexpectedEOF, 16 << 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			own, p := ws.NewConn(newScript(test.says, 4095), false), make([]byte, 1)
			got, err := 0, error(nil)
			memory := allocated(func() {
				for {
					var size int
					if size, err = own.NextMessage(test.limit); err == nil && size > 0 {
						_, err = io.ReadFull(own, p)
					}
					if err == nil && size > 1 {
						_, err = own.Read(p) // there is no more
					}
					if err != nil {
						break
					}
					got++
				}
			})
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("%d messages and %v, want %d and %v", got, err, test.want, test.err)
			}
			if memory > test.memory && !ws.PoolsForget() {
				t.Errorf("%d bytes of memory for %d of input, want %d at most", memory, len(test.says), test.memory)
			}
		})
	}
}
