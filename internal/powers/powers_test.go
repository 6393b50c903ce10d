package powers_test

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/powers"
	"github.com/backdial/backdial/mux"
)

// able has every power, each of which answers with an error of its own.
type able struct{}

var (
	errWriteTo  = errors.New("WriteTo")
	errCheck    = errors.New("Check")
	errReset    = errors.New("ResetWithCode")
	errClose    = errors.New("CloseWrite")
	errMessages = errors.New("WriteMessages")
	errNow      = errors.New("WriteNow")
)

func (able) WriteTo(io.Writer) (int64, error)        { return 0, errWriteTo }
func (able) Check() error                            { return errCheck }
func (able) ResetWithCode(uint32) error              { return errReset }
func (able) CloseWrite() error                       { return errClose }
func (able) NextMessage(int) (int, error)            { return 0, errMessages }
func (able) WriteMessages(...[]byte) error           { return errMessages }
func (able) WriteLast(...[]byte) error               { return errMessages }
func (able) WriteNow(...[]byte) (kept bool, e error) { return false, errNow }
func (able) Flush() error                            { return errNow }
func (able) ReadNow([]byte) int                      { return 44 }
func (able) Arrive(bool) bool                        { return true }
func (able) Interrupt()                              {}

// A fullStream is a stream that has every power itself.
type fullStream struct {
	mux.Stream // nil: not used
	able
}

func (fullStream) CloseWrite() error { return nil }

// A fullConn is a connection that has every power itself.
type fullConn struct {
	carrier.Conn // nil: not used
	able
}

// subset returns p with the fields that are bits of chosen, and the others nil.
func subset[T any](p T, chosen int) T {
	fields := reflect.ValueOf(&p).Elem()
	for i := range fields.NumField() {
		if chosen&(1<<i) == 0 {
			fields.Field(i).SetZero()
		}
	}
	return p
}

// has returns the fields of p that are not nil, as bits.
func has[T any](p T) (bits int) {
	fields := reflect.ValueOf(p)
	for i := range fields.NumField() {
		if !fields.Field(i).IsNil() {
			bits |= 1 << i
		}
	}
	return bits
}

// TestStream gives a stream each combination of powers. The stream has all of them
// itself, so that one that is not hidden shows.
func TestStream(t *testing.T) {
	var st fullStream
	all := powers.OfStream(st)
	if n := reflect.TypeOf(all).NumField(); has(all) != 1<<n-1 {
		t.Fatalf("powers %03b of a stream that has all %d", has(all), n)
	}
	for chosen := range has(all) + 1 {
		t.Run(fmt.Sprintf("%03b", chosen), func(t *testing.T) {
			wrapped := subset(all, chosen).Wrap(st)
			p := powers.OfStream(wrapped)
			if got := has(p); got != chosen {
				t.Errorf("powers %03b, want %03b", got, chosen)
			}
			if p.WriterTo != nil {
				_, err := p.WriterTo.WriteTo(nil)
				want(t, err, errWriteTo)
			}
			if p.Checker != nil {
				want(t, p.Checker.Check(), errCheck)
			}
			if p.CodeResetter != nil {
				want(t, p.CodeResetter.ResetWithCode(1), errReset)
			}
			_, copies := wrapped.(io.WriterTo) // as io.Copy asks
			if copies != (p.WriterTo != nil) {
				t.Errorf("io.Copy finds a WriterTo: %t, want %t", copies, !copies)
			}
		})
	}
}

// TestConn is TestStream for connections.
func TestConn(t *testing.T) {
	var conn fullConn
	all := powers.OfConn(conn)
	if n := reflect.TypeOf(all).NumField(); has(all) != 1<<n-1 {
		t.Fatalf("powers %04b of a connection that has all %d", has(all), n)
	}
	for chosen := range has(all) + 1 {
		t.Run(fmt.Sprintf("%04b", chosen), func(t *testing.T) {
			p := powers.OfConn(subset(all, chosen).Wrap(conn))
			if got := has(p); got != chosen {
				t.Errorf("powers %04b, want %04b", got, chosen)
			}
			if p.CloseWriter != nil {
				want(t, p.CloseWriter.CloseWrite(), errClose)
			}
			if p.Messenger != nil {
				want(t, p.Messenger.WriteMessages(), errMessages)
			}
			if p.PromptWriter != nil {
				want(t, p.PromptWriter.Flush(), errNow)
			}
			if p.PromptReader != nil && p.PromptReader.ReadNow(nil) != 44 {
				t.Error("ReadNow is another's")
			}
			if p.PromptReader != nil && !p.PromptReader.Arrive(false) {
				t.Error("Arrive is another's")
			}
		})
	}
}

func want(t *testing.T, err, want error) {
	t.Helper()
	if err != want {
		t.Errorf("error %v, want %v: it is another method", err, want)
	}
}
