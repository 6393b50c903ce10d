package relay_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
)

func TestNetConn(t *testing.T) {
	leak.Check(t)
	each(t, func(t *testing.T, near, far mux.Muxer) {
		nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
			h := newHop(t, near, far, mux.Config{}, overTCP)
			asker, device, joined := h.open(t)
			return asker, device, func() {
				asker.Close()
				device.Close()
				await.From(t, "Join", joined)
				h.checkGone(t)
				h.close()
			}, nil
		})
	})
}

// In TestHalfClose one direction ends, and the other goes on.
func TestHalfClose(t *testing.T) {
	leak.Check(t)
	eachSide(t, func(t *testing.T, h *hop, side string) {
		st, peer, joined := h.ends(t, side)
		io.WriteString(st, "request")
		st.CloseWrite()
		if r := await.From(t, "the request", readAll(peer)); string(r.value) != "request" || r.err != nil {
			t.Errorf("request: %q, %v", r.value, r.err)
		}
		answer := bytes.Repeat([]byte("0123456789"), 300_000) // more than the windows
		answered := readAll(st)
		peer.Write(answer)
		peer.CloseWrite()
		if r := await.From(t, "the answer", answered); !bytes.Equal(r.value, answer) || r.err != nil {
			t.Errorf("answer: %d of %d bytes, %v", len(r.value), len(answer), r.err)
		}
		if err := await.From(t, "Join", joined); err != nil {
			t.Error("Join:", err)
		}
		h.checkGone(t)
		st.Close()
		peer.Close()
	})
}

// In TestWrittenArrives a far end closes its stream right after it has written, and the other
// reads slowly.
func TestWrittenArrives(t *testing.T) {
	leak.Check(t)
	eachSide(t, func(t *testing.T, h *hop, side string) {
		st, peer, joined := h.ends(t, side)
		sent := bytes.Repeat([]byte("0123456789"), 200_000)
		writing := start(func() (int, error) {
			defer st.Close()
			return st.Write(sent)
		})
		var got bytes.Buffer
		reading := start(func() (int64, error) {
			io.CopyN(&got, peer, 1000)
			await.From(t, "half of a write", time.After(10*time.Millisecond))
			return got.ReadFrom(peer)
		})
		if r := await.From(t, "Read", reading); !bytes.Equal(got.Bytes(), sent) || r.err != nil {
			t.Errorf("%d of %d bytes arrive, %v", got.Len(), len(sent), r.err)
		}
		if r := await.From(t, "Write", writing); r.err != nil {
			t.Error("write:", r.err)
		}
		peer.Close()
		if err := await.From(t, "Join", joined); err != nil {
			t.Error("Join:", err)
		}
		h.checkGone(t)
	})
}

// In TestBackPressure a far end does not read, which stops the one that writes, and then reads
// everything. Both directions are full at the same time.
func TestBackPressure(t *testing.T) {
	leak.Check(t)
	each(t, func(t *testing.T, near, far mux.Muxer) {
		t.Parallel() // it waits for writers to be stuck
		h := newHop(t, near, far, fixed, overTCP)
		asker, device, joined := h.open(t)
		const most = 2*window + 64<<10 // and a chunk on its way
		sent := bytes.Repeat([]byte("0123456789"), 200_000)
		var writes []<-chan result[int]
		for _, st := range []mux.Stream{asker, device} {
			st.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
			writes = append(writes, start(func() (int, error) { return st.Write(sent) }))
		}
		for i, st := range []mux.Stream{asker, device} {
			r := await.From(t, "Write", writes[i])
			if r.value > most || !isTimeout(r.err) {
				t.Errorf("the %s wrote %d bytes, which nobody reads, then %v; want %d at most", sides[i], r.value, r.err, most)
			}
			st.SetWriteDeadline(time.Time{})
			rest := sent[r.value:]
			writes[i] = start(func() (int, error) {
				n, err := st.Write(rest)
				return n, errors.Join(err, st.CloseWrite())
			})
		}
		reads := []<-chan result[[]byte]{readAll(device), readAll(asker)}
		for i, read := range reads {
			if r := await.From(t, "Read", read); !bytes.Equal(r.value, sent) || r.err != nil {
				t.Errorf("from the %s %d of %d bytes arrive, %v", sides[i], len(r.value), len(sent), r.err)
			}
			await.From(t, "Write", writes[i])
		}
		if err := await.From(t, "Join", joined); err != nil {
			t.Error("Join:", err)
		}
		h.checkGone(t)
		asker.Close()
		device.Close()
	})
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}
