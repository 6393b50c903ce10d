package powers

import (
	"io"

	"github.com/backdial/backdial/mux"
)

// A Stream holds the optional methods of a [mux.Stream]. A nil field is a power that the
// stream does not have.
type Stream struct {
	WriterTo     io.WriterTo  // of mux.WriterTo
	Checker      Checker      // of mux.Checker
	CodeResetter CodeResetter // of mux.CodeResetter
}

// A Checker has what [mux.Checker] adds to a stream.
type Checker interface {
	Check() error
}

// A CodeResetter has what [mux.CodeResetter] adds to a stream.
type CodeResetter interface {
	ResetWithCode(code uint32) error
}

// OfStream returns the powers of st.
func OfStream(st mux.Stream) (p Stream) {
	if w, ok := st.(mux.WriterTo); ok {
		p.WriterTo = w
	}
	if c, ok := st.(mux.Checker); ok {
		p.Checker = c
	}
	if r, ok := st.(mux.CodeResetter); ok {
		p.CodeResetter = r
	}
	return p
}

// Wrap returns st with the powers p. Powers that st has itself are hidden.
func (p Stream) Wrap(st mux.Stream) mux.Stream {
	type (
		w = io.WriterTo
		c = Checker
		r = CodeResetter
	)
	switch bits(p.WriterTo != nil, p.Checker != nil, p.CodeResetter != nil) {
	case 0b001:
		return &struct {
			mux.Stream
			r
		}{st, p.CodeResetter}
	case 0b010:
		return &struct {
			mux.Stream
			c
		}{st, p.Checker}
	case 0b011:
		return &struct {
			mux.Stream
			c
			r
		}{st, p.Checker, p.CodeResetter}
	case 0b100:
		return &struct {
			mux.Stream
			w
		}{st, p.WriterTo}
	case 0b101:
		return &struct {
			mux.Stream
			w
			r
		}{st, p.WriterTo, p.CodeResetter}
	case 0b110:
		return &struct {
			mux.Stream
			w
			c
		}{st, p.WriterTo, p.Checker}
	case 0b111:
		return &struct {
			mux.Stream
			w
			c
			r
		}{st, p.WriterTo, p.Checker, p.CodeResetter}
	}
	return &struct{ mux.Stream }{st}
}
