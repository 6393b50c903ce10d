package transport_test

import (
	"errors"
	"io"
	"net/http/httptest"
	"testing"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

// full is a writer that takes three bytes.
type full struct{ err error }

func (w full) Write(p []byte) (int, error) { return min(3, len(p)), w.err }

// TestTraceOfWriteTo counts what a stream hands over, and blames it for its own errors only.
func TestTraceOfWriteTo(t *testing.T) {
	errFull := errors.New("full")
	for _, test := range []struct {
		name      string
		to        io.Writer
		end       func(transport.Conn) error // of the writing end
		fails     error                      // what WriteTo returns
		read      int64
		streamErr error
	}{
		{"to the end", io.Discard, transport.Conn.CloseWrite, nil, 7, nil},
		{"until the peer resets", io.Discard, transport.Conn.Reset, mux.ErrReset, 7, mux.ErrReset},
		{"to a failing writer", full{errFull}, transport.Conn.CloseWrite, errFull, 3, nil},
		{"to a writer that takes less", full{}, transport.Conn.CloseWrite, io.ErrShortWrite, 3, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			leak.Check(t)
			moved := make(chan int, 100)
			closed := make(chan transport.StreamStats, 1)
			dialers := make(chan *transport.Dialer, 1)
			srv := httptest.NewServer(serverFunc(t, func(d *transport.Dialer) { dialers <- d }, transport.WithTrace(transport.Trace{
				StreamMoved:  func(_ transport.Info, read, _ int) { moved <- read },
				StreamClosed: func(_ transport.Info, s transport.StreamStats) { closed <- s },
			})))
			defer srv.Close()
			lis, err := transport.DialAndListen(srv.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer lis.Close()
			c, err := await.From(t, "Dialer", dialers).Dial()
			if err != nil {
				t.Fatal(err)
			}
			peer, err := lis.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer peer.Close()
			io.WriteString(peer, "request")
			passed := make(chan error, 1)
			go func() {
				n, err := c.(mux.WriterTo).WriteTo(test.to)
				if n != test.read {
					t.Errorf("WriteTo passed on %d bytes, want %d", n, test.read)
				}
				passed <- err
			}()
			if n := await.From(t, "bytes", moved); int64(n) != test.read {
				t.Errorf("%d bytes were read, want %d", n, test.read)
			}
			test.end(peer.(transport.Conn))
			if err := await.From(t, "WriteTo", passed); !errors.Is(err, test.fails) {
				t.Errorf("WriteTo: error %v, want %v", err, test.fails)
			}
			c.Close()
			if s := await.From(t, "end of the stream", closed); s.BytesRead != test.read || !errors.Is(s.Err, test.streamErr) {
				t.Errorf("told of %d bytes and error %v, want %d and %v", s.BytesRead, s.Err, test.read, test.streamErr)
			}
		})
	}
}
