// Package wiretest checks what a frame format promises to package engine.
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
	// readBuffer is what a session reads at a time.
	readBuffer = 2 << 10

	// maxAllocated bounds the memory that it takes to read any input. A frame
	// may claim far more, and its payload is not for the wire to read.
	maxAllocated = 64 << 10

	// maxText bounds the text of an error, which a peer has a say in.
	maxText = 200
)

// errCarrier is what a carrier fails with.
var errCarrier = errors.New("carrier failed")

// Fuzz has wire read whatever a peer may send, and say again what it has read.
func Fuzz(f *testing.F, wire engine.Wire) {
	f.Fuzz(func(t *testing.T, input []byte) {
		for _, one := range readAll(t, wire, input) {
			endsInside(t, wire, one)
			saidAgain(t, wire, one.frame)
		}
	})
}

// A reading is a frame, and what it was read from.
type reading struct {
	frame  engine.Frame
	header []byte // all but the payload
}

// readAll reads the frames of input, up to the end or what is no frame.
func readAll(t *testing.T, wire engine.Wire, input []byte) (all []reading) {
	all = make([]reading, 0, len(input)) // not to be counted below
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
		t.Errorf("to read %d bytes takes %d KiB of memory", len(input), took>>10)
	}
	return all
}

// checkEnd expects of err, with which input ends, that it tells an end between
// two frames from any other.
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

// endsInside cuts a frame short: it must not be taken for another, nor for a
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

// saidAgain appends a frame to others, and expects to read the same.
func saidAgain(t *testing.T, wire engine.Wire, frame engine.Frame) {
	const others = "others"
	said := wire.Append([]byte(others), toSend(frame))
	if !bytes.HasPrefix(said, []byte(others)) {
		t.Fatalf("%+v takes the place of what was appended before", frame)
	}
	said = said[len(others):]
	if len(said) == 0 {
		if !saysNothing(frame) {
			t.Errorf("%+v is not said", frame)
		}
		return
	}
	r := bufio.NewReaderSize(bytes.NewReader(said), readBuffer)
	got, err := wire.Read(r)
	if err != nil || r.Buffered() > 0 {
		t.Fatalf("%+v is said as % x, which reads as %+v, %v, with %d bytes left", frame, said, got, err, r.Buffered())
	}
	if meaning(got) != meaning(frame) {
		t.Errorf("%+v is said as % x, which reads as %+v", frame, said, got)
	}
}

// toSend returns a frame that was read as one to be sent, which has both forms of
// a credit. A grant of something makes the other form worth saying.
func toSend(f engine.Frame) engine.Frame {
	if f.Credit.Absolute {
		f.Credit.Grant = 1
	}
	return f
}

// saysNothing reports whether f is a frame of a stream to which it makes no
// difference.
func saysNothing(f engine.Frame) bool { return f == engine.Frame{ID: f.ID} }

// meaning returns f without what has none.
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
