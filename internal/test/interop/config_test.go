//go:build unix

package interop

import (
	"io"
	"sync"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/long"
)

// TestManyStreamsAtATime uses a client that allows that many.
func TestManyStreamsAtATime(t *testing.T) {
	everywhere(t, func(t *testing.T, k kind) {
		leak.Check(t)
		d := newSite(t).join(t, k, map[string]string{"maxStreamsBidi": "256"})
		var open, all sync.WaitGroup
		open.Add(200)
		for range 200 {
			all.Go(func() {
				conn, err := d.Dial()
				if err != nil {
					t.Error(err)
					open.Done()
					return
				}
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(patience))
				io.WriteString(conn, "echo\nx")
				if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
					t.Error("read:", err)
				}
				open.Done()
				open.Wait()
			})
		}
		all.Wait()
	})
}

// TestStreamsThatAreNotRead expects them not to stop others, with a client that has as
// much credit as the documentation says.
func TestStreamsThatAreNotRead(t *testing.T) {
	everywhere(t, func(t *testing.T, k kind) {
		leak.Check(t)
		d := newSite(t).join(t, k, map[string]string{"maxData": "16777216"})
		for range 10 {
			conn, err := d.Dial()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(patience))
			// The client reads only the line.
			if _, err := conn.Write(append([]byte("hold\n"), make([]byte, 250_000)...)); err != nil {
				t.Error("write:", err)
			}
		}
		if got, err := ask(d, "echo", []byte("hello")); string(got) != "hello" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

// TestIdle sends nothing for longer than the client's idle timeout. Either end must ask
// the other for a sign of life before that.
func TestIdle(t *testing.T) {
	long.Only(t)
	config := map[string]string{"maxIdleTimeout": "1000"}
	everywhere(t, func(t *testing.T, k kind) {
		t.Run("the server asks", func(t *testing.T) {
			leak.Check(t)
			d := newSite(t).join(t, k, config)
			if got, err := ask(d, "wait 3000", nil); len(got) != 0 || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
			if d.Info().RoundTrip <= 0 {
				t.Error("the client answers no pings")
			}
		})
		t.Run("the client asks", func(t *testing.T) {
			leak.Check(t)
			s := newSite(t)
			what := s.at(s.addr(), "/silent")
			what.Config = config
			k.start(t, s, what)
			if got, err := io.ReadAll(open(t, s.session(t), "wait 3000")); len(got) != 0 || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		})
	})
}
