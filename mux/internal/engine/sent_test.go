package engine_test

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
)

// TestFinishedStreamsDoNotCount opens more streams than the limit. Both ends have
// finished the earlier ones, but closed none.
func TestFinishedStreamsDoNotCount(t *testing.T) {
	each(t, func(t *testing.T, m mux.Muxer) {
		a, b := testnet.Pair(t)
		d, l := sessions(t, m, a, b, mux.Config{}, mux.Config{MaxStreams: 1})
		for range 3 {
			dialled, accepted := stream(t, d, l)
			if err := dialled.CloseWrite(); err != nil {
				t.Fatal("close write:", err)
			}
			if _, err := io.ReadAll(accepted); err != nil {
				t.Fatal("read:", err)
			}
			if err := accepted.CloseWrite(); err != nil {
				t.Fatal("close write:", err)
			}
			if _, err := io.ReadAll(dialled); err != nil {
				t.Fatal("read:", err)
			}
		}
	})
}

// A slowCarrier takes a second for a write, also for one that need not wait.
type slowCarrier struct{ net.Conn }

func (slowCarrier) Protocol() string { return "" }
func (slowCarrier) Flush() error     { return nil }

func (c slowCarrier) Write(p []byte) (int, error) {
	time.Sleep(time.Second)
	return c.Conn.Write(p)
}

func (c slowCarrier) WriteNow(messages ...[]byte) (kept bool, err error) {
	for _, m := range messages {
		if _, err := c.Write(m); err != nil {
			return false, err
		}
	}
	return false, nil
}

// TestOwnDeparture expects Write, CloseWrite and Close to return when the carrier has what
// they have sent, and not to wait for what another stream has queued meanwhile.
func TestOwnDeparture(t *testing.T) {
	for _, m := range []mux.Muxer{yamuxmux.New(), smuxmux.New(), qmux.New()} {
		for name, call := range map[string]func(mux.Stream) error{
			"Write":      func(st mux.Stream) error { _, err := st.Write(make([]byte, 10)); return err },
			"CloseWrite": mux.Stream.CloseWrite,
			"Close":      mux.Stream.Close,
		} {
			t.Run(m.Name()+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a, b := net.Pipe()
					d, l := sessions(t, m, a, slowCarrier{b}, mux.Config{KeepAlive: -1}, mux.Config{KeepAlive: -1})
					_, st := stream(t, d, l)
					_, other := stream(t, d, l)
					time.Sleep(time.Minute)
					began := time.Now()
					go func() {
						time.Sleep(time.Second / 2)
						other.Write(make([]byte, 10))
					}()
					if err := call(st); err != nil {
						t.Error(err)
					}
					if took := time.Since(began); took != time.Second {
						t.Errorf("it took %v, want a second", took)
					}
					time.Sleep(time.Minute)
				})
			})
		}
	}
}
