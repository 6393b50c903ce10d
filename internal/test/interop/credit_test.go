//go:build unix

package interop

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/mux"
)

// cancel makes the client stop a stream with as much on its way as possible, and returns
// the error of writing.
func cancel(t *testing.T, session mux.Session) error {
	t.Helper()
	st, err := session.Open(t.Context())
	if err != nil {
		return err
	}
	defer st.Close()
	st.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(st, "busy 100\n"); err != nil { // it is read
		return err
	}
	_, err = st.Write(make([]byte, 1<<20)) // and this is not
	return err
}

// wantEcho expects the client to answer.
func wantEcho(t *testing.T, session mux.Session) {
	t.Helper()
	st := open(t, session, "echo")
	io.WriteString(st, "hello")
	st.CloseWrite()
	if got, err := io.ReadAll(st); string(got) != "hello" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestLostCredit makes a client stop streams with much on its way: @moq/qmux 0.3.3 does
// not count that, so the connection has less credit each time. At least eight must do no
// harm. When there is no credit left, the session must end, both ends must learn why, and
// the client must connect again.
func TestLostCredit(t *testing.T) {
	long.Only(t)
	everywhere(t, func(t *testing.T, k kind) {
		leak.Check(t)
		s := newSite(t)
		what := s.at(s.addr(), "/session")
		what.Reconnect = true
		k.start(t, s, what)
		s.hears(t, "ready", "backdial.1")
		session := s.session(t)
		stopped := 0
		start, err := time.Now(), error(nil)
		for ; stopped < 200; stopped++ {
			if stopped == 8 {
				wantEcho(t, session)
			}
			start = time.Now()
			err = cancel(t, session)
			if e, ok := errors.AsType[*mux.ResetError](err); !ok || e.Code != 7 {
				break
			}
		}
		t.Logf("%d streams were stopped; after %v: %v", stopped, time.Since(start), err)
		if stopped <= 8 {
			t.Errorf("%d streams were stopped, and there is no credit", stopped)
		}
		if !errors.Is(err, mux.ErrSessionEnded) || !errors.Is(err, mux.ErrProtocol) || !strings.Contains(err.Error(), "no credit") {
			t.Errorf("write: error %v, want one that says that there is no credit", err)
		}
		if r := s.hears(t, "lost", ""); !strings.Contains(r.Text, "no credit") {
			t.Errorf("the client reports %+v", r)
		}
		s.hears(t, "ready", "backdial.1")
		wantEcho(t, s.session(t))
	})
}
