package qmux

import (
	"errors"
	"testing"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
)

// TestShedDuringWrite makes a session shed a stream during a Write: nothing may follow
// RESET_STREAM.
func TestShedDuringWrite(t *testing.T) {
	leak.Check(t)
	s, peer := meet(t, dialSide, mux.Config{}, greetings())
	st := open(t, s)
	if _, err := st.Write([]byte("hello")); err != nil {
		t.Fatal("write:", err)
	}
	full := errors.New("the receive buffer is full")
	st.in.Lock() // as one that reads, so that the stream is given up half way
	abandoned := start(func() error { owner{st}.Abandon(full); return nil })
	for f := (frame{}); f.typ != frameResetStream; {
		f, _ = peer.hear()
	}
	if _, err := st.Write([]byte("late")); err != full {
		t.Errorf("a Write after RESET_STREAM: %v, want %v", err, full)
	}
	st.in.Unlock()
	await(t, "Abandon", abandoned)
	peer.conn.Close()
}
