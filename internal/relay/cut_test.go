package relay_test

import (
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/internal/relay"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/qmux"
)

// In TestReset a far end resets its stream in the middle of what it writes, of what it reads,
// of both, and while nothing moves.
func TestReset(t *testing.T) {
	leak.Check(t)
	for name, writes := range map[string]struct{ own, peers bool }{
		"idle": {}, "writer": {own: true}, "reader": {peers: true}, "both": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			eachSide(t, func(t *testing.T, h *hop, side string) {
				st, peer, joined := h.ends(t, side)
				end := underWay(t, st, peer, writes.own, writes.peers)
				st.Reset()
				if err := end(); !errors.Is(err, mux.ErrReset) {
					t.Errorf("the other far end: error %v, want mux.ErrReset", err)
				}
				if err := await.From(t, "Join", joined); !errors.Is(err, mux.ErrReset) {
					t.Errorf("Join: error %v, want mux.ErrReset", err)
				}
				h.checkGone(t)
			})
		})
	}
}

// underWay starts transfers between the far ends of a stream, and waits until they are in
// the middle. It returns a function that waits for the end that peer sees, closes it, and
// returns its error.
func underWay(t *testing.T, st, peer mux.Stream, own, peers bool) (end func() error) {
	t.Helper()
	var writes []<-chan result[int64]
	if own {
		writes = append(writes, writeOn(st))
		io.CopyN(io.Discard, peer, 600_000)
	}
	if peers {
		writes = append(writes, writeOn(peer))
		io.CopyN(io.Discard, st, 600_000)
	}
	reading := start(func() (int64, error) { return io.Copy(io.Discard, peer) })
	return func() error {
		t.Helper()
		read := await.From(t, "the other far end's Read", reading)
		if read.err == nil {
			t.Error("the other far end takes what was cut for all there is")
		}
		if r := await.From(t, "the other far end's Write", writeOn(peer)); !errors.Is(r.err, mux.ErrReset) {
			t.Errorf("the other far end's Write: error %v, want mux.ErrReset", r.err)
		}
		for _, w := range writes {
			await.From(t, "Write", w)
		}
		peer.Close()
		return read.err
	}
}

// In TestResetAfterAnswer a far end resets its stream after the other has finished its
// direction.
func TestResetAfterAnswer(t *testing.T) {
	leak.Check(t)
	eachSide(t, func(t *testing.T, h *hop, side string) {
		st, peer, joined := h.ends(t, side)
		peer.CloseWrite()
		if r := await.From(t, "Read", readAll(st)); r.err != nil {
			t.Error("read:", r.err)
		}
		st.Reset()
		if r := await.From(t, "Read", readAll(peer)); !errors.Is(r.err, mux.ErrReset) {
			t.Errorf("read: error %v, want mux.ErrReset", r.err)
		}
		await.From(t, "Join", joined)
		h.checkGone(t)
		peer.Close()
	})
}

// In TestResetStalled a far end resets its stream while the other neither reads nor writes.
func TestResetStalled(t *testing.T) {
	each(t, func(t *testing.T, near, far mux.Muxer) {
		for _, side := range sides {
			t.Run(side, func(t *testing.T) {
				leak.Check(t)
				synctest.Test(t, func(t *testing.T) {
					h := newHop(t, near, far, mux.Config{}, testnet.MemPair)
					defer h.close()
					st, peer, joined := h.ends(t, side)
					st.SetWriteDeadline(time.Now().Add(time.Hour))
					if r := <-writeOn(st); !isTimeout(r.err) {
						t.Errorf("write: %d bytes, then %v, although nobody reads", r.value, r.err)
					}
					began := time.Now()
					st.Reset()
					<-joined
					if took := time.Since(began); took > 10*time.Second {
						t.Errorf("the relay notices after %v", took)
					}
					h.checkGone(t)
					if n, err := io.Copy(io.Discard, peer); !errors.Is(err, mux.ErrReset) {
						t.Errorf("read: %d bytes, then %v, want mux.ErrReset", n, err)
					}
					peer.Close()
				})
			})
		}
	})
}

// TestResetCode passes on the code of a reset, if both streams have codes.
func TestResetCode(t *testing.T) {
	leak.Check(t)
	eachSide(t, func(t *testing.T, h *hop, side string) {
		st, peer, joined := h.ends(t, side)
		coded, ok := st.(mux.CodeResetter)
		_, peerToo := peer.(mux.CodeResetter)
		if !ok {
			return
		}
		coded.ResetWithCode(44)
		r := await.From(t, "Read", readAll(peer))
		if e, ok := errors.AsType[*mux.ResetError](r.err); !errors.Is(r.err, mux.ErrReset) || ok != peerToo || ok && e.Code != 44 {
			t.Errorf("read: error %v, want a reset, with code 44 if there are codes", r.err)
		}
		await.From(t, "Join", joined)
		peer.Close()
	})
}

// TestSessionLost cuts or closes a far end's carrier, or closes its session, in the middle of
// a transfer.
func TestSessionLost(t *testing.T) {
	leak.Check(t)
	for name, lose := range map[string]func(h *hop, side string){
		"carrier cut": func(h *hop, side string) {
			if side == "asker" {
				h.askerLink.Cut()
			} else {
				h.deviceLink.Cut()
			}
		},
		"session closed": func(h *hop, side string) {
			if side == "asker" {
				h.asker.Close()
			} else {
				h.device.Close()
			}
		},
		"relay's session closed": func(h *hop, side string) {
			if side == "asker" {
				h.near.Close()
			} else {
				h.far.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachSide(t, func(t *testing.T, h *hop, side string) {
				st, peer, joined := h.ends(t, side)
				end := underWay(t, st, peer, true, false)
				losing := start(func() (int, error) { lose(h, side); return 0, nil })
				if err := end(); !errors.Is(err, mux.ErrReset) || errors.Is(err, io.EOF) {
					t.Errorf("the other far end: error %v, want mux.ErrReset", err)
				}
				await.From(t, name, losing)
				if err := await.From(t, "Join", joined); err == nil {
					t.Error("Join: no error")
				}
				h.checkGone(t)
				st.Close()
			})
		})
	}
}

// watched notes whether a stream is reset.
type watched struct {
	mux.Stream
	reset atomic.Bool
}

func (st *watched) Reset() error {
	st.reset.Store(true)
	return st.Stream.Reset()
}

// TestEndIsNoReset expects Join not to reset streams that have ended by themselves: with
// some multiplexers it would make a difference.
func TestEndIsNoReset(t *testing.T) {
	leak.Check(t)
	h := newHop(t, qmux.New(), qmux.New(), mux.Config{}, overTCP)
	asker, near := openStream(t, h.asker, h.near)
	far, device := openStream(t, h.far, h.device)
	left, right := &watched{Stream: near}, &watched{Stream: far}
	joined := start(func() (int, error) { return 0, relay.Join(left, right) })
	asker.CloseWrite()
	device.Close()
	if r := await.From(t, "Join", joined); r.err != nil || left.reset.Load() || right.reset.Load() {
		t.Errorf("Join: %v; streams were reset: %t, %t", r.err, left.reset.Load(), right.reset.Load())
	}
	asker.Close()
}

// plain is a stream without anything optional.
type plain struct{ mux.Stream }

// TestPlainStreams joins streams that are no more than the contract asks for.
func TestPlainStreams(t *testing.T) {
	leak.Check(t)
	h := newHop(t, qmux.New(), qmux.New(), mux.Config{}, overTCP)
	asker, near := openStream(t, h.asker, h.near)
	far, device := openStream(t, h.far, h.device)
	joined := start(func() (int, error) { return 0, relay.Join(plain{near}, plain{far}) })
	end := underWay(t, asker, device, true, true)
	asker.(mux.CodeResetter).ResetWithCode(44)
	err := end()
	if e, ok := errors.AsType[*mux.ResetError](err); !ok || e.Code != 1 {
		t.Errorf("the other far end: error %v, want a reset with code 1", err)
	}
	await.From(t, "Join", joined)
	h.checkGone(t)
}
