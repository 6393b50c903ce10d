package transport_test

import (
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/backdial/backdial/internal/test/testlog"
	"github.com/backdial/backdial/transport"
)

// TestNameClient names one before there is a session, and another one later.
func TestNameClient(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		var log testlog.Log
		gone := make(chan transport.Info, 10)
		s.deploy(t, transport.WithLogger(log.Logger()),
			transport.WithTrace(transport.Trace{
				ClientGone:  func(i transport.Info, _ error) { gone <- i },
				StreamMoved: func(i transport.Info, _, _ int) { gone <- i },
			}),
			transport.WithAuthorize(func(r *http.Request) error {
				if id := r.Header.Get("Id"); id != "" {
					transport.NameClient(r.Context(), id)
				}
				if r.Header.Get("Bad") != "" {
					return transport.ErrForbidden
				}
				return nil
			}))
		connect := func(header http.Header) (*transport.Dialer, error) {
			lis, err := transport.DialAndListen("mem://server", header, transport.WithCarriers(s.network))
			if err != nil {
				return nil, err
			}
			t.Cleanup(func() { lis.Close() })
			return <-s.dialers, nil
		}
		early, err := connect(http.Header{"Id": {"early"}})
		if err != nil {
			t.Fatal(err)
		}
		late, err := connect(nil)
		if err != nil {
			t.Fatal(err)
		}
		transport.NameClient(t.Context(), "nobody")
		if late.Info().Client != "" || early.Info().Client != "early" {
			t.Errorf("clients %q and %q, want none and early", late.Info().Client, early.Info().Client)
		}
		if early.Info().Session == late.Info().Session || len(early.Info().Session) != 12 {
			t.Errorf("sessions %q and %q, want two IDs of 12 characters", early.Info().Session, late.Info().Session)
		}
		transport.NameClient(late.Context(), "late\nroot logged in")
		for _, d := range []*transport.Dialer{early, late} {
			for _, what := range []func(){func() { dialled(t, d, "hello") }, func() { d.Close() }} {
				what()
				if i := <-gone; i.Client != d.Info().Client || i.Session != d.Info().Session {
					t.Errorf("the trace is told of %q and %q, want %q and %q", i.Client, i.Session, d.Info().Client, d.Info().Session)
				}
			}
		}
		synctest.Wait()
		if _, err := connect(http.Header{"Id": {"refused"}, "Bad": {"yes"}}); err == nil {
			t.Error("a client is let in that is refused")
		}
		lineOf(t, &log, "client connected", "session="+early.Info().Session, "client=early")
		lineOf(t, &log, "client gone", "session="+early.Info().Session, "client=early", "reason=closed")
		lineOf(t, &log, "client gone", "session="+late.Info().Session, `client="late\\nroot logged in"`)
		lineOf(t, &log, "handshake failed", "client=refused", "status=403")
	})
}
