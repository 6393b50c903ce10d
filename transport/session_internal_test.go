package transport

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"testing"

	"github.com/backdial/backdial/internal/test/testlog"
	"github.com/backdial/backdial/mux"
)

// endedMux is a session that has ended.
type endedMux struct {
	mux.Session
	ctx context.Context
}

func (m endedMux) Context() context.Context { return m.ctx }

// In TestErrOfForeignSession an application's own carrier or multiplexer ends a session with
// an error that repeats what the peer says.
func TestErrOfForeignSession(t *testing.T) {
	ctx, end := context.WithCancelCause(t.Context())
	end(errors.Join(net.ErrClosed, errors.New("\x1b[2J\nroot logged in")))
	s := &session{mux: endedMux{ctx: ctx}}
	if err := s.err(); testlog.Harm(err.Error()) != "" || !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v, want one on one line that matches net.ErrClosed", err)
	}
}

// In TestHeardBeforeGone a session ends before it begins. The client hears the peer's last
// message, such as why it closes the session, before it learns that the session is gone.
func TestHeardBeforeGone(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	end()
	s := &session{mux: endedMux{ctx: ctx}, trace: new(Trace), logger: slog.New(slog.DiscardHandler)}
	s.control.receive(controlMessage{kind: controlClosing, text: "enough"}.encode())
	var events []string
	gone := make(chan struct{})
	s.begin(func(m controlMessage) { events = append(events, m.text) },
		func() { events = append(events, "gone"); close(gone) })
	<-gone
	if !slices.Equal(events, []string{"enough", "gone"}) {
		t.Errorf("%q", events)
	}
}
