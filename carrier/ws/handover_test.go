package ws_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/await"
)

// TestHandover makes a server send frames along with its answer, in one segment and byte
// by byte.
func TestHandover(t *testing.T) {
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	defer certified.Close()
	serverTLS := &tls.Config{Certificates: certified.TLS.Certificates}
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())

	const size = 300 // more than what is left, and less
	long := string(noise(1, 20_000))
	frames := func(p *peer) (b []byte) {
		for range size / 3 {
			b = append(b, p.frame(fin|binary2, "one")...)
		}
		b = append(b, p.frame(fin|ping, "ping")...)
		return append(b, p.frame(fin|binary2, long)...)
	}
	for _, secured := range []bool{false, true} {
		for _, chop := range []int{atOnce, 1, 7} {
			name := map[bool]string{false: "ws", true: "wss"}[secured] + map[int]string{atOnce: "/Segment", 1: "/Bytes", 7: "/Pieces"}[chop]
			t.Run(name, func(t *testing.T) {
				eachFraming(t, func(t *testing.T, options ...ws.Option) {
					peers, done := make(chan *peer, 1), make(chan struct{})
					addr := serveRaw(t, func(conn net.Conn) {
						if secured {
							conn = tls.Server(conn, serverTLS)
						}
						answer := answerTo(conn, "")
						p := newPeer(t, conn, nil, false)
						p.send(chop, []byte(answer), frames(p))
						peers <- p
						<-done
					})
					defer close(done)
					u := &url.URL{Scheme: "ws", Host: addr}
					if secured {
						u.Scheme = "wss"
					}
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					conn, err := ws.New(options...).Dial(ctx, &carrier.Request{URL: u, TLS: &tls.Config{RootCAs: roots}})
					if err != nil {
						t.Fatal(err)
					}
					defer conn.Close()
					got := make([]byte, size+len(long))
					if _, err := io.ReadFull(conn, got); err != nil {
						t.Fatal(err)
					}
					for i := range size {
						if got[i] != "one"[i%3] {
							t.Fatalf("byte %d is %q", i, got[i])
						}
					}
					if string(got[size:]) != long {
						t.Error("what follows is not what was sent")
					}
					await.From(t, "the server", peers)
				})
			})
		}
	}
}
