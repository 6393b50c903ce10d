package relay_test

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	"github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/relay"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/transport"
)

// A stack is what a session of package transport runs on.
type stack struct {
	carriertest.Target
	muxer mux.Muxer
}

// connect returns a function that makes connections of one session. Both ends report them
// to trace.
func (s stack) connect(t *testing.T, trace transport.Trace) (open func() (dialled, accepted transport.Conn)) {
	t.Helper()
	dialers := make(chan *transport.Dialer, 1)
	carriers, muxes, traced := transport.WithCarriers(s.Carrier), transport.WithMuxes(s.muxer), transport.WithTrace(trace)
	srv := transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) { dialers <- d }), carriers, muxes, traced)
	t.Cleanup(func() { srv.Close() })
	url, tls, stop := s.Serve(t, srv)
	lis, err := transport.DialAndListenContext(t.Context(), url, nil, carriers, muxes, traced, transport.WithTLSConfig(tls))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	d := await.From(t, "Dialer", dialers)
	stop()
	return func() (transport.Conn, transport.Conn) {
		t.Helper()
		dialled, err := d.Dial()
		if err != nil {
			t.Fatal(err)
		}
		accepted, err := lis.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return dialled.(transport.Conn), accepted.(transport.Conn)
	}
}

// TestTransport joins connections of package transport that are traced, one of which is a
// stream of the carrier.
func TestTransport(t *testing.T) {
	leak.Check(t)
	near := stack{carriertest.Target{Carrier: ws.New()}, qmux.New()}
	far := stack{carriertest.Target{Carrier: webtransport.New(), TLS: true}, nativemux.New()}
	var read, written atomic.Int64
	trace := transport.Trace{StreamMoved: func(_ transport.Info, r, w int) {
		read.Add(int64(r))
		written.Add(int64(w))
	}}
	openNear, openFar := near.connect(t, trace), far.connect(t, trace)
	open := func() (asker, device transport.Conn, joined <-chan result[int]) {
		asker, accepted := openNear()
		dialled, device := openFar()
		return asker, device, start(func() (int, error) { return 0, relay.Join(accepted, dialled) })
	}

	t.Run("to the end", func(t *testing.T) {
		asker, device, joined := open()
		sent := bytes.Repeat([]byte("0123456789"), 300_000)
		echoed := start(func() (int64, error) {
			defer device.Close()
			return io.Copy(device, device)
		})
		writing := start(func() (int, error) {
			defer asker.CloseWrite()
			return asker.Write(sent)
		})
		if r := await.From(t, "Read", readAll(asker)); !bytes.Equal(r.value, sent) || r.err != nil {
			t.Errorf("%d of %d bytes return, %v", len(r.value), len(sent), r.err)
		}
		await.From(t, "Write", writing)
		await.From(t, "echo", echoed)
		asker.Close()
		if r := await.From(t, "Join", joined); r.err != nil {
			t.Error("Join:", r.err)
		}
		if r, w := read.Load(), written.Load(); r != 4*int64(len(sent)) || w != r {
			t.Errorf("%d bytes were read and %d written, want %d of each: four ends, twice", r, w, 4*len(sent))
		}
	})
	t.Run("until a reset", func(t *testing.T) {
		for _, side := range sides {
			st, peer, joined := open()
			if side == "device" {
				st, peer = peer, st
			}
			writing := writeOn(st)
			io.CopyN(io.Discard, peer, 600_000)
			st.(mux.CodeResetter).ResetWithCode(44)
			r := await.From(t, "Read", start(func() (int64, error) { return io.Copy(io.Discard, peer) }))
			if e, ok := errors.AsType[*mux.ResetError](r.err); !ok || e.Code != 44 {
				t.Errorf("read of what the %s resets: error %v, want a reset with code 44", side, r.err)
			}
			await.From(t, "Write", writing)
			await.From(t, "Join", joined)
			peer.Close()
		}
	})
}
