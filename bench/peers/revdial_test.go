package peers

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"

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
	server := httptest.NewUnstartedServer(handler)
	server.TLS = harness.ServerTLS()
	server.StartTLS()
	t.Cleanup(server.Close)

	addr := t.Reach("tcp", server.Listener.Addr().String())
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
		return &harness.Session{
			Dial:   func() (net.Conn, error) { return dialer.Dial(context.Background()) },
			Accept: listener.Accept,
			Close:  func() { dialer.Close(); listener.Close() },
		}, nil
	}
}
