package muxtest

import (
	"errors"
	"io"
	"math"
	"testing"

	"github.com/backdial/backdial/mux"
)

// resetWithCode resets streams from either end, with a code and without.
func resetWithCode(t *testing.T, connect Connect) {
	wantPower[mux.CodeResetter](t, connect)
	p := connect.pair(t, mux.Config{}, mux.Config{})
	for _, code := range []uint32{0, 1, 44, math.MaxUint32} {
		st, peer := p.open(t)
		checkCode(t, st, peer, code)
		peer, st = p.open(t)
		checkCode(t, st, peer, code)
	}
	st, peer := p.open(t)
	reset(t, st)
	wantCode(t, "Read after Reset without a code", start(func() error { _, err := io.ReadAll(peer); return err }), 1)
}

// checkCode resets st with a code, and expects the peer to get it.
func checkCode(t *testing.T, st, peer mux.Stream, code uint32) {
	t.Helper()
	c := st.(mux.CodeResetter)
	own, others := reading(st), reading(peer)
	if err := await(t, "ResetWithCode", start(func() error { return c.ResetWithCode(code) })); err != nil {
		t.Error("ResetWithCode:", err)
	}
	checkWoken(t, own)
	wantCode(t, "the peer's Read", others, code)
	wantCode(t, "the peer's Write", writing(peer), code)
	checkClosed(t, st)
	if err := c.ResetWithCode(code + 1); err != nil {
		t.Error("ResetWithCode again:", err)
	}
	peer.Close()
}

// wantCode expects call to fail with the peer's code.
func wantCode(t *testing.T, what string, call <-chan error, code uint32) {
	t.Helper()
	err := await(t, what, call)
	if e, ok := errors.AsType[*mux.ResetError](err); !ok || e.Code != uint64(code) || !errors.Is(err, mux.ErrReset) {
		t.Errorf("%s: error %v, want a mux.ResetError with code %d", what, err, code)
	}
}
