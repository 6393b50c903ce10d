// Package wiretest checks that a frame format keeps the contract of engine.Wire.
package wiretest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/engine"
)

const (
	// readBuffer is the size of a session's read buffer.
	readBuffer = 2 << 10

	// maxAllocated bounds the memory for reading any input. A frame may claim a far larger
	// payload, which the wire does not read.
	maxAllocated = 64 << 10

	// maxText bounds an error text, which a peer can influence.
	maxText = 200
)

// errCarrier is the error of a carrier that fails.
var errCarrier = errors.New("carrier failed")

// Fuzz lets wire read arbitrary input, and write again what it has read.
func Fuzz(f *testing.F, wire engine.Wire) {
	f.Fuzz(func(t *testing.T, input []byte) {
		for _, one := range readAll(t, wire, input) {
			endsInside(t, wire, one)
			saidAgain(t, wire, one.frame)
		}
	})
}

// A reading is a frame and its bytes.
type reading struct {
	frame  engine.Frame
	header []byte // all but the payload
}

// readAll reads the frames of input up to its end or the first invalid frame.
func readAll(t *testing.T, wire engine.Wire, input []byte) (all []reading) {
	all = make([]reading, 0, len(input)) // allocate now: allocations are counted below
	rest := bytes.NewReader(input)
	r := bufio.NewReaderSize(rest, readBuffer)
	at := func() int { return len(input) - rest.Len() - r.Buffered() }
	before := allocated()
	for {
		begin := at()
		frame, err := wire.Read(r)
		if err != nil {
			checkEnd(t, err, begin == len(input))
			break
		}
		all = append(all, reading{frame, input[begin:at()]})
		if _, err := r.Discard(frame.Length); err != nil {
			break
		}
	}
	if took := allocated() - before; took > maxAllocated {
		t.Errorf("reading %d bytes takes %d KiB of memory", len(input), took>>10)
	}
	return all
}

// checkEnd checks that err, with which input ends, tells an end between two frames from
// any other.
func checkEnd(t *testing.T, err error, between bool) {
	t.Helper()
	switch {
	case between:
		if err != io.EOF {
			t.Errorf("error %v between two frames, want io.EOF", err)
		}
	case errors.Is(err, io.EOF):
		t.Errorf("error %v inside a frame", err)
	case !errors.Is(err, mux.ErrProtocol) && !errors.Is(err, io.ErrUnexpectedEOF):
		t.Errorf("error %v, want mux.ErrProtocol or io.ErrUnexpectedEOF", err)
	}
	if len(err.Error()) > maxText {
		t.Errorf("error of %d bytes: %v", len(err.Error()), err)
	}
}

// endsInside cuts a frame short: the wire must not take it for another frame, nor for a
// violation.
func endsInside(t *testing.T, wire engine.Wire, one reading) {
	r := bufio.NewReaderSize(nil, readBuffer)
	for n := 1; n < len(one.header); n++ {
		for _, end := range []struct{ with, want error }{{io.EOF, io.ErrUnexpectedEOF}, {errCarrier, errCarrier}} {
			r.Reset(io.MultiReader(bytes.NewReader(one.header[:n]), iotest.ErrReader(end.with)))
			frame, err := wire.Read(r)
			if !errors.Is(err, end.want) || errors.Is(err, mux.ErrProtocol) {
				t.Errorf("%v after % x gives %+v, %v, want %v", end.with, one.header[:n], frame, err, end.want)
			}
		}
	}
}

// saidAgain appends a frame to other bytes, and expects to read the same frame.
func saidAgain(t *testing.T, wire engine.Wire, frame engine.Frame) {
	const others = "others"
	said := wire.Append([]byte(others), toSend(frame))
	if !bytes.HasPrefix(said, []byte(others)) {
		t.Fatalf("%+v overwrites what was appended before", frame)
	}
	said = said[len(others):]
	if len(said) == 0 {
		if !saysNothing(frame) {
			t.Errorf("%+v is not written", frame)
		}
		return
	}
	r := bufio.NewReaderSize(bytes.NewReader(said), readBuffer)
	got, err := wire.Read(r)
	if err != nil || r.Buffered() > 0 {
		t.Fatalf("%+v is written as % x, which reads as %+v, %v, with %d bytes left", frame, said, got, err, r.Buffered())
	}
	if meaning(got) != meaning(frame) {
		t.Errorf("%+v is written as % x, which reads as %+v", frame, said, got)
	}
}

// toSend turns a frame that was read into one to be sent, which has both forms of a
// credit. Any grant makes the other form worth sending.
func toSend(f engine.Frame) engine.Frame {
	if f.Credit.Absolute {
		f.Credit.Grant = 1
	}
	return f
}

// saysNothing reports whether f is a stream frame that changes nothing.
func saysNothing(f engine.Frame) bool { return f == engine.Frame{ID: f.ID} }

// meaning returns f without the fields that have no meaning.
func meaning(f engine.Frame) engine.Frame {
	if f.Kind != engine.OnStream {
		f.ID = 0
	}
	return f
}

// allocated is how many bytes the program has allocated so far.
func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}
