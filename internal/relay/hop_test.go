package relay_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/relay"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/muxtest"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
)

// soon is how long a test waits for what should happen at once.
const soon = 20 * time.Second

var muxers = []mux.Muxer{qmux.New(), yamuxmux.New(), smuxmux.New()}

// each runs test with every pair of muxers, the asker's and the device's.
func each(t *testing.T, test func(t *testing.T, near, far mux.Muxer)) {
	for _, near := range muxers {
		for _, far := range muxers {
			t.Run(near.Name()+" to "+far.Name(), func(t *testing.T) { test(t, near, far) })
		}
	}
}

// A hop is two sessions and a relay between them: from the asker, who opens streams, to
// the device.
type hop struct {
	asker, near mux.Session // near is the relay's end
	far, device mux.Session
	askerLink   muxtest.Link
	deviceLink  muxtest.Link
}

// newHop makes one on what pair returns. It is closed when t is done.
func newHop(t testing.TB, near, far mux.Muxer, config mux.Config, pair func(testing.TB) (net.Conn, net.Conn)) *hop {
	t.Helper()
	h := new(hop)
	h.asker, h.near, h.askerLink, _ = connect(t, near, config, pair)
	h.far, h.device, _, h.deviceLink = connect(t, far, config, pair)
	t.Cleanup(h.close)
	return h
}

func connect(t testing.TB, m mux.Muxer, config mux.Config, pair func(testing.TB) (net.Conn, net.Conn)) (dial, listen mux.Session, dialLink, listenLink muxtest.Link) {
	t.Helper()
	dialled, accepted := pair(t)
	d, l := muxtest.NewLink(dialled), muxtest.NewLink(accepted)
	listening := make(chan error, 1)
	go func() {
		var err error
		listen, err = m.ListenSide(l, config)
		listening <- err
	}()
	dial, err := m.DialSide(d, config)
	if err := errors.Join(err, <-listening); err != nil {
		t.Fatal(err)
	}
	return dial, listen, d, l
}

func overTCP(t testing.TB) (net.Conn, net.Conn) {
	dialled, accepted := testnet.Pair(t)
	return dialled, accepted
}

func (h *hop) close() {
	for _, s := range []mux.Session{h.asker, h.near, h.far, h.device} {
		go s.Close() // a peer that is gone does not answer
	}
	for _, s := range []mux.Session{h.asker, h.near, h.far, h.device} {
		s.Close()
	}
}

// open returns the far ends of two streams that are joined, and what the relay returns
// when it is done with them.
func (h *hop) open(t testing.TB) (asker, device mux.Stream, joined <-chan error) {
	t.Helper()
	asker, near := openStream(t, h.asker, h.near)
	far, device := openStream(t, h.far, h.device)
	done := make(chan error, 1)
	go func() { done <- relay.Join(near, far) }()
	return asker, device, done
}

// ends returns the two far ends of a stream, as sides names them.
func (h *hop) ends(t testing.TB, side string) (st, peer mux.Stream, joined <-chan error) {
	t.Helper()
	st, peer, joined = h.open(t)
	if side == "device" {
		st, peer = peer, st
	}
	return st, peer, joined
}

var sides = []string{"asker", "device"}

// window is how much of a stream may be on its way in the sessions of fixed.
const window = 256 << 10

// fixed has windows that do not grow.
var fixed = mux.Config{Window: window, MaxWindow: window}

// eachSide runs test with every pair of muxers, and with either far end as the first one.
func eachSide(t *testing.T, test func(t *testing.T, h *hop, side string)) {
	each(t, func(t *testing.T, near, far mux.Muxer) {
		for _, side := range sides {
			t.Run(side, func(t *testing.T) { test(t, newHop(t, near, far, fixed, overTCP), side) })
		}
	})
}

func openStream(t testing.TB, dial, listen mux.Session) (dialled, accepted mux.Stream) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	dialled, err := dial.Open(ctx)
	if err != nil {
		t.Fatal("open:", err)
	}
	accepted, err = listen.Accept(ctx)
	if err != nil {
		t.Fatal("accept:", err)
	}
	return dialled, accepted
}

// A result is what a call returned.
type result[T any] struct {
	value T
	err   error
}

func start[T any](f func() (T, error)) <-chan result[T] {
	c := make(chan result[T], 1)
	go func() {
		v, err := f()
		c <- result[T]{v, err}
	}()
	return c
}

// readAll reads st to its end.
func readAll(st mux.Stream) <-chan result[[]byte] {
	return start(func() ([]byte, error) { return io.ReadAll(st) })
}

// writeOn writes to st until that fails, and returns how much has been written.
func writeOn(st mux.Stream) <-chan result[int64] {
	return start(func() (written int64, err error) {
		for buf := make([]byte, 64<<10); ; {
			n, err := st.Write(buf)
			written += int64(n)
			if err != nil {
				return written, err
			}
		}
	})
}

// checkGone expects that the relay has ended both of its streams.
func (h *hop) checkGone(t testing.TB) {
	t.Helper()
	if n := h.near.Streams() + h.far.Streams(); n != 0 {
		t.Errorf("the relay has %d streams in use, want none", n)
	}
}
