//go:build unix

package interop

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/faultnet"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/transport"
)

// cause waits for the end of a session, and returns its cause.
func cause(t *testing.T, session mux.Session) error {
	t.Helper()
	await.From(t, "the end of the session", session.Context().Done())
	return context.Cause(session.Context())
}

// TestServerCloses expects the client to learn that the server closed on purpose.
func TestServerCloses(t *testing.T) {
	everywhere(t, func(t *testing.T, k kind) {
		leak.Check(t)
		s := newSite(t)
		d := s.join(t, k, nil)
		if err := d.Close(); err != nil {
			t.Error("close:", err)
		}
		if r := s.hears(t, "closed", ""); r.Code != 0 || r.Text != "" {
			t.Errorf("the client reports %+v", r)
		}
	})
}

// TestClientCloses expects the server to learn that the client closed on purpose, and
// why.
func TestClientCloses(t *testing.T) {
	everywhere(t, func(t *testing.T, k kind) {
		leak.Check(t)
		s := newSite(t)
		session, _ := s.meet(t, k)
		st := open(t, session, "close 99 bye")
		err := cause(t, session)
		if e, ok := errors.AsType[*qmux.ConnectionError](err); !errors.Is(err, mux.ErrClosedByPeer) || !ok || e.Code != 99 || e.Reason != "bye" {
			t.Errorf("cause %v, want mux.ErrClosedByPeer, 99 and bye", err)
		}
		if _, err := io.ReadAll(st); !errors.Is(err, mux.ErrClosedByPeer) {
			t.Errorf("read: error %v, want mux.ErrClosedByPeer", err)
		}
		if r := s.hears(t, "closed", "bye"); r.Code != 99 {
			t.Errorf("the client reports %+v", r)
		}
	})
}

// TestCut expects neither end to take a cut for an orderly end.
func TestCut(t *testing.T) {
	everywhere(t, func(t *testing.T, k kind) {
		for _, cut := range []struct {
			name string
			how  faultnet.Cut
		}{{"by a reset", faultnet.Reset}, {"by an end", faultnet.Finish}} {
			t.Run(cut.name, func(t *testing.T) {
				leak.Check(t)
				s := newSite(t)
				network := testnet.TCP(t, s.addr(), 1)
				what := s.at(network.Addr(), "/session")
				what.Plain = true // Chromium 156 crashes now and then when a WebSocketStream is cut
				k.start(t, s, what)
				s.hears(t, "ready", "backdial.1")
				session := s.session(t)
				st := open(t, session, "hold")
				network.Cut(cut.how)
				wantCut(t, session, st)
				s.hears(t, "lost", "WebTransportError: ")
			})
		}
	})
}

// TestClientIsKilled kills the client, which then cannot say goodbye.
func TestClientIsKilled(t *testing.T) {
	everywhere(t, func(t *testing.T, k kind) {
		leak.Check(t)
		s := newSite(t)
		session, kill := s.meet(t, k)
		st := open(t, session, "hold")
		kill()
		wantCut(t, session, st)
	})
}

func wantCut(t *testing.T, session mux.Session, st mux.CodeResetter) {
	t.Helper()
	if err := cause(t, session); !errors.Is(err, mux.ErrSessionEnded) || errors.Is(err, mux.ErrClosedByPeer) {
		t.Errorf("cause %v, want mux.ErrSessionEnded and not mux.ErrClosedByPeer", err)
	}
	if _, err := io.ReadAll(st); !errors.Is(err, mux.ErrSessionEnded) {
		t.Errorf("read: error %v, want mux.ErrSessionEnded", err)
	}
}

// TestDialerErr tells a client that left from one that was lost.
func TestDialerErr(t *testing.T) {
	leak.Check(t)
	s := newSite(t)
	d := s.join(t, inNode, nil)
	ask(d, "close 7 enough", nil)
	await.From(t, "the end of the session", d.Done())
	if err := d.Err(); !errors.Is(err, transport.ErrClientGone) || !errors.Is(err, mux.ErrClosedByPeer) {
		t.Errorf("error %v, want transport.ErrClientGone and mux.ErrClosedByPeer", err)
	}
}
