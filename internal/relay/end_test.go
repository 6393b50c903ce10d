package relay_test

import (
	"bytes"
	"errors"
	"io"
	"os"
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

// In TestClosedReader a far end answers and closes its stream, while the other writes on. The
// other gets the whole answer, and its writes fail.
func TestClosedReader(t *testing.T) {
	leak.Check(t)
	eachSide(t, func(t *testing.T, h *hop, side string) {
		st, peer, joined := h.ends(t, side)
		answer := bytes.Repeat([]byte("0123456789"), 200_000)
		writing := writeOn(st)
		answering := start(func() (int, error) {
			defer peer.Close()
			io.CopyN(io.Discard, peer, 300_000)
			return peer.Write(answer)
		})
		if r := await.From(t, "Read", readAll(st)); !bytes.Equal(r.value, answer) || r.err != nil {
			t.Errorf("answer: %d of %d bytes, %v", len(r.value), len(answer), r.err)
		}
		if r := await.From(t, "Write", answering); r.err != nil {
			t.Error("write of the answer:", r.err)
		}
		r := await.From(t, "Write", writing)
		if e, ok := errors.AsType[*mux.ResetError](r.err); !errors.Is(r.err, mux.ErrReset) || ok && e.Code != 0 {
			t.Errorf("write: error %v, want mux.ErrReset, with code 0 if there are codes", r.err)
		}
		if err := await.From(t, "Join", joined); !errors.Is(err, mux.ErrReset) {
			t.Errorf("Join: error %v, want mux.ErrReset", err)
		}
		h.checkGone(t)
		st.Close()
	})
}

// TestClosedReaderFirst is TestClosedReader with a far end that reads when it has written.
func TestClosedReaderFirst(t *testing.T) {
	each(t, func(t *testing.T, near, far mux.Muxer) {
		for _, side := range sides {
			t.Run(side, func(t *testing.T) {
				leak.Check(t)
				synctest.Test(t, func(t *testing.T) {
					h := newHop(t, near, far, fixed, testnet.MemPair)
					defer h.close()
					closedReaderFirst(t, h, side)
				})
			})
		}
	})
}

func closedReaderFirst(t *testing.T, h *hop, side string) {
	st, peer, joined := h.ends(t, side)
	answer := bytes.Repeat([]byte("0123456789"), 100_000) // more than fits on the way to the reader
	answering := start(func() (int, error) {
		defer peer.Close()
		return peer.Write(answer)
	})
	writing := start(func() (int, error) { return st.Write(make([]byte, 400_000)) })
	rest := answer
	for len(answering) == 0 && len(rest) > 0 { // until the rest of the answer is on its way
		io.CopyN(io.Discard, st, 10_000)
		rest = rest[10_000:]
		synctest.Wait()
	}
	await.From(t, "Write of the answer", answering)
	if r := await.From(t, "Write", writing); r.err != nil {
		t.Error("write:", r.err)
	}
	if r := await.From(t, "Write", start(func() (int, error) { return st.Write(make([]byte, 4_000_000)) })); r.err != nil {
		t.Errorf("write, before the answer has been read: error %v", r.err)
	}
	if r := await.From(t, "Read", readAll(st)); !bytes.Equal(r.value, rest) || r.err != nil {
		t.Errorf("rest of the answer: %d of %d bytes, %v", len(r.value), len(rest), r.err)
	}
	if r := await.From(t, "Write", writeOn(st)); !errors.Is(r.err, mux.ErrReset) {
		t.Errorf("write: error %v, want mux.ErrReset", r.err)
	}
	await.From(t, "Join", joined)
	h.checkGone(t)
	st.Close()
}

// In TestClosedIdle a far end closes its stream before the other writes.
func TestClosedIdle(t *testing.T) {
	leak.Check(t)
	eachSide(t, func(t *testing.T, h *hop, side string) {
		st, peer, joined := h.ends(t, side)
		peer.Close()
		if r := await.From(t, "Read", readAll(st)); len(r.value) > 0 || r.err != nil {
			t.Errorf("read: %q, %v, want nothing", r.value, r.err)
		}
		if r := await.From(t, "Write", writeOn(st)); !errors.Is(r.err, mux.ErrReset) {
			t.Errorf("write: error %v, want mux.ErrReset", r.err)
		}
		await.From(t, "Join", joined)
		h.checkGone(t)
		st.Close()
	})
}

// In TestClosedTogether both far ends write and close, so that nobody reads anything.
func TestClosedTogether(t *testing.T) {
	leak.Check(t)
	each(t, func(t *testing.T, near, far mux.Muxer) {
		h := newHop(t, near, far, mux.Config{}, overTCP)
		asker, device, joined := h.open(t)
		var writes []<-chan result[int64]
		for _, st := range []mux.Stream{asker, device} {
			writes = append(writes, writeOn(st))
		}
		io.CopyN(io.Discard, asker, 300_000) // they are well under way
		io.CopyN(io.Discard, device, 300_000)
		closing := start(func() (int, error) { return 0, asker.Close() })
		device.Close()
		await.From(t, "Close", closing)
		for _, w := range writes {
			await.From(t, "Write", w)
		}
		await.From(t, "Join", joined)
		h.checkGone(t)
	})
}

// In TestStandstill a far end writes and does not read, to one that has closed its stream. Its
// writes fail after a while, and it does not take what it has read for all.
func TestStandstill(t *testing.T) {
	each(t, func(t *testing.T, near, far mux.Muxer) {
		for _, side := range sides {
			t.Run(side, func(t *testing.T) {
				leak.Check(t)
				synctest.Test(t, func(t *testing.T) {
					h := newHop(t, near, far, mux.Config{}, testnet.MemPair)
					defer h.close()
					st, peer, joined := h.ends(t, side)
					peer.SetWriteDeadline(time.Now().Add(time.Second))
					answer := bytes.Repeat([]byte("0123456789"), 200_000)
					n, _ := peer.Write(answer) // until all is full
					peer.Close()
					began := time.Now()
					var err error
					for err == nil && time.Since(began) < time.Hour {
						time.Sleep(time.Second)
						_, err = st.Write([]byte("?"))
					}
					if took := time.Since(began); !errors.Is(err, mux.ErrReset) || took < time.Minute || took > 2*time.Minute {
						t.Errorf("write: error %v after %v, want mux.ErrReset after a minute", err, took)
					}
					if got, err := io.ReadAll(st); !errors.Is(err, mux.ErrReset) {
						t.Errorf("read: %d of %d bytes, %v, want mux.ErrReset", len(got), n, err)
					}
					<-joined
					h.checkGone(t)
					st.Close()
				})
			})
		}
	})
}

// In TestAnyPace a far end reads nothing for a long time, while nobody has closed anything. It
// may do that.
func TestAnyPace(t *testing.T) {
	each(t, func(t *testing.T, near, far mux.Muxer) {
		leak.Check(t)
		synctest.Test(t, func(t *testing.T) {
			h := newHop(t, near, far, fixed, testnet.MemPair)
			defer h.close()
			st, peer, joined := h.open(t)
			sent := bytes.Repeat([]byte("0123456789"), 200_000)
			writing := start(func() (int, error) {
				defer st.Close()
				return st.Write(sent)
			})
			time.Sleep(time.Hour)
			if got, err := io.ReadAll(peer); !bytes.Equal(got, sent) || err != nil {
				t.Errorf("%d of %d bytes arrive, %v", len(got), len(sent), err)
			}
			<-writing
			peer.Close()
			if err := <-joined; err != nil {
				t.Error("Join:", err)
			}
		})
	})
}

// trickle is a stream that takes a little of what is written to it, and then nothing until
// the deadline.
type trickle struct{ mux.Stream }

func (st trickle) Write(p []byte) (int, error) {
	if len(p) <= 1000 {
		return st.Stream.Write(p)
	}
	time.Sleep(4 * time.Second)
	n, err := st.Stream.Write(p[:1000])
	if err != nil {
		return n, err
	}
	return n, os.ErrDeadlineExceeded
}

// In TestTrickle a far end reads an answer as slowly as is allowed, after it could not send
// any more.
func TestTrickle(t *testing.T) {
	leak.Check(t)
	synctest.Test(t, func(t *testing.T) {
		h := newHop(t, qmux.New(), qmux.New(), fixed, testnet.MemPair)
		defer h.close()
		asker, near := openStream(t, h.asker, h.near)
		far, device := openStream(t, h.far, h.device)
		answer := bytes.Repeat([]byte("0123456789"), 20_000) // several chunks, of minutes each
		device.Write(answer)
		device.Close()
		joined := start(func() (int, error) { return 0, relay.Join(trickle{near}, far) })
		for range 3 { // the relay finds out that nobody reads
			time.Sleep(time.Second)
			asker.Write([]byte("?"))
		}
		if got, err := io.ReadAll(asker); !bytes.Equal(got, answer) || err != nil {
			t.Errorf("answer: %d of %d bytes, %v", len(got), len(answer), err)
		}
		asker.Close()
		<-joined
		h.checkGone(t)
	})
}

// TestSlowAnswer is TestStandstill with a far end that reads a little now and then. It
// gets everything.
func TestSlowAnswer(t *testing.T) {
	each(t, func(t *testing.T, near, far mux.Muxer) {
		leak.Check(t)
		synctest.Test(t, func(t *testing.T) {
			const large = 1 << 20 // window, so that much is still to be read after Close
			h := newHop(t, near, far, mux.Config{Window: large, MaxWindow: large}, testnet.MemPair)
			defer h.close()
			st, peer, joined := h.open(t)
			answer := bytes.Repeat([]byte("0123456789"), 400_000)
			answering := start(func() (int, error) {
				defer peer.Close()
				return peer.Write(answer)
			})
			var got bytes.Buffer
			for began := time.Now(); time.Since(began) < 24*time.Hour; {
				for range 10 {
					time.Sleep(5 * time.Second)
					st.Write([]byte("?"))
				}
				if n, err := io.CopyN(&got, st, large/4+10_000); n == 0 {
					if err != io.EOF {
						t.Error("read:", err)
					}
					break
				}
			}
			if r := <-answering; !bytes.Equal(got.Bytes(), answer) || r.err != nil {
				t.Errorf("answer: %d of %d bytes, %v", got.Len(), len(answer), r.err)
			}
			st.Close()
			<-joined
			h.checkGone(t)
		})
	})
}
