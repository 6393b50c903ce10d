package peers

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/build/revdial/v2"

	"github.com/backdial/backdial/bench/harness"
)

// serveRevdial is revdial as the Go project's builders use it: a client registers with a
// request that the server hijacks, and connects again, with TLS, for each stream.
func serveRevdial(t harness.TB) func() (*harness.Session, error) {
	const register, pickUp = "/register", "/revdial"
	dialers := make(chan *revdial.Dialer, 1) // of the client that connects
	handler := http.NewServeMux()
	handler.Handle(pickUp, revdial.ConnHandler())
	handler.HandleFunc(register, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		switched := http.Response{StatusCode: http.StatusSwitchingProtocols, ProtoMajor: 1, ProtoMinor: 1}
		switched.Write(conn)
		dialers <- revdial.NewDialer(conn, pickUp)
	})
	addr := harness.ServeHTTP(t, handler, true)
	client := tls.Dialer{Config: harness.ClientTLS()}
	dial := func(ctx context.Context) (net.Conn, error) {
		return client.DialContext(ctx, "tcp", addr)
	}
	return func() (*harness.Session, error) {
		conn, err := dial(context.Background())
		if err != nil {
			return nil, err
		}
		request, err := http.NewRequest(http.MethodGet, register, nil)
		if err == nil {
			err = request.Write(conn)
		}
		if err == nil {
			_, err = revdial.ReadProtoSwitchOrRedirect(bufio.NewReader(conn), request)
		}
		if err != nil {
			conn.Close()
			return nil, err
		}
		listener, dialer := revdial.NewListener(conn, dial), <-dialers
		var arriving atomic.Int64 // streams that were dialled, and not accepted yet
		return &harness.Session{
			Dial: func() (net.Conn, error) {
				arriving.Add(1)
				c, err := dialer.Dial(context.Background())
				if err != nil {
					arriving.Add(-1)
				}
				return c, err
			},
			Accept: func() (net.Conn, error) {
				c, err := listener.Accept()
				if err == nil {
					arriving.Add(-1)
				}
				return c, err
			},
			// Its listener panics if it is closed while a stream arrives.
			Close: func() {
				for deadline := time.Now().Add(time.Second); arriving.Load() > 0 && time.Now().Before(deadline); {
					time.Sleep(time.Millisecond)
				}
				dialer.Close()
				listener.Close()
			},
		}, nil
	}
}
