package transport_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
)

// grownWindow makes r read what w sends, most bytes of it. It returns how many bytes w can send
// beyond what was read: the window of the stream.
func grownWindow(t *testing.T, w, r net.Conn, most int64) (window int64) {
	t.Helper()
	read := make(chan int64, 1)
	go func() {
		n, err := io.CopyN(io.Discard, r, most)
		if err != nil {
			t.Errorf("read: %v", err)
		}
		read <- n
	}()
	written := int64(0)
	piece := make([]byte, 16<<10)
	for {
		w.SetWriteDeadline(time.Now().Add(3 * time.Second)) // many round trips
		n, err := w.Write(piece)
		written += int64(n)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return written - <-read
		}
		if err != nil {
			t.Fatalf("write: %v", err)
		}
	}
}

// checkWindow expects a window of mib MiB. The reader gives credit when an eighth or so of it
// has been read, and the near end has queued a little more than that.
func checkWindow(t *testing.T, window, mib int64) {
	t.Helper()
	t.Logf("the window has grown to %d KiB", window>>10)
	if least, most := mib<<20*3/4, mib<<20+512<<10; window < least || window > most {
		t.Errorf("the window has grown to %d KiB, want %d to %d", window>>10, least>>10, most>>10)
	}
}

// TestWindowGrows measures how large the window of a stream becomes if the path is long and
// the reader fast.
func TestWindowGrows(t *testing.T) {
	for _, m := range []mux.Muxer{qmux.New(), yamuxmux.New(), smuxmux.New()} {
		t.Run(m.Name(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := testnet.NewFar(t, 100*time.Millisecond, 1e9)
				listening := make(chan mux.Session, 1)
				go func() {
					s, err := m.ListenSide(path.B, mux.Config{})
					if err != nil {
						t.Error(err)
					}
					listening <- s
				}()
				server, err := m.DialSide(path.A, mux.Config{})
				if err != nil {
					t.Fatal(err)
				}
				defer server.Close()
				client := <-listening
				defer client.Close()
				w, err := server.Open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				r, err := client.Accept(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				checkWindow(t, grownWindow(t, w, r, 256<<20), 16)
				w.Reset()
			})
		})
	}
}
