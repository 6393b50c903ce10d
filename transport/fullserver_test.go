package transport_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

// A hollow is a carrier and a muxer whose sessions cost next to nothing.
type hollow struct {
	carrier.Carrier
	mux.Muxer
}

func (hollow) Name() string                         { return "hollow" }
func (hollow) Protocol() string                     { return "hollow.v1" }
func (hollow) Offer(*http.Request) ([]string, bool) { return []string{"hollow.v1"}, true }
func (hollow) DialSide(c net.Conn, _ mux.Config) (mux.Session, error) {
	ctx, end := context.WithCancelCause(context.Background())
	return &hollowSession{ctx: ctx, end: end}, nil
}

func (hollow) Upgrade(http.ResponseWriter, *http.Request, string) (carrier.Conn, error) {
	return hollowConn{}, nil
}

// A hollowConn carries nothing.
type hollowConn struct{ carrier.Conn }

func (hollowConn) Protocol() string     { return "hollow.v1" }
func (hollowConn) LocalAddr() net.Addr  { return &net.TCPAddr{} }
func (hollowConn) RemoteAddr() net.Addr { return &net.TCPAddr{} }
func (hollowConn) Close() error         { return nil }

// A hollowSession lives until it is closed.
type hollowSession struct {
	mux.Session
	ctx context.Context
	end context.CancelCauseFunc
}

func (s *hollowSession) Context() context.Context { return s.ctx }
func (s *hollowSession) Close() error             { s.end(net.ErrClosed); return nil }
func (s *hollowSession) Send([]byte) error        { return nil }
func (s *hollowSession) Streams() int             { return 0 }
func (s *hollowSession) RoundTrip() time.Duration { return 0 }

// TestMaxSessionsByDefault fills a server: the first client beyond the documented number is
// refused, and gets in when another has gone.
func TestMaxSessionsByDefault(t *testing.T) {
	leak.Check(t)
	const most = 65536
	var last *transport.Dialer
	handled := make(chan *transport.Dialer, 1)
	server := transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) { handled <- d }),
		transport.WithCarriers(hollow{}), transport.WithMuxes(hollow{}))
	t.Cleanup(func() { server.Close() })
	connect := func() (status int) {
		w := httptest.NewRecorder()
		server.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		return w.Code
	}
	for n := range most {
		if status := connect(); status != http.StatusOK { // nobody has written another
			t.Fatalf("client %d is refused with status %d", n+1, status)
		}
		last = <-handled
	}
	if status := connect(); status != http.StatusServiceUnavailable {
		t.Fatalf("client %d gets status %d, want 503", most+1, status)
	}
	last.Close()
	await.Until(t, "a client gets in after another has gone", func() bool { return connect() == http.StatusOK })
	await.From(t, "the client that gets in", handled)
}
