//go:build unix

package interop

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/transport"
)

// ask returns everything that the client answers to a command and what follows it.
func ask(d *transport.Dialer, command string, data []byte) ([]byte, error) {
	conn, err := d.Dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	written := make(chan error, 1)
	go func() {
		_, err := conn.Write(slices.Concat([]byte(command+"\n"), data))
		written <- errors.Join(err, conn.(transport.Conn).CloseWrite())
	}()
	got, err := io.ReadAll(conn)
	return got, errors.Join(err, <-written)
}

// digest is that of testdata/client.js.
func digest(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }

// TestServerDials makes a server dial a client as it would any other.
func TestServerDials(t *testing.T) {
	everywhere(t, func(t *testing.T, k kind) {
		leak.Check(t)
		s := newSite(t)
		d := s.join(t, k, nil)
		if info := d.Info(); info.Mux != "qmux" || info.Protocol != "qmux-02.backdial.1" {
			t.Errorf("negotiated %+v", info)
		}

		t.Run("echo to the end", func(t *testing.T) {
			if got, err := ask(d, "echo", []byte("hello")); string(got) != "hello" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		})

		t.Run("empty stream", func(t *testing.T) {
			conn, err := d.Dial()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(patience))
			if err := conn.(transport.Conn).CloseWrite(); err != nil {
				t.Error("close write:", err)
			}
			if n, err := conn.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("read %d, %v, want io.EOF", n, err)
			}
		})

		t.Run("half-close by the client", func(t *testing.T) {
			conn, err := d.Dial()
			if err != nil {
				t.Fatal(err)
			}
			conn.SetDeadline(time.Now().Add(patience))
			fmt.Fprintln(conn, "first")
			if got, err := io.ReadAll(conn); string(got) != "done" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
			fmt.Fprint(conn, "late")
			conn.Close()
			s.hears(t, "got", "late")
		})

		t.Run("200 streams at once", func(t *testing.T) { // twice what it takes at a time
			var all sync.WaitGroup
			for i := range 200 {
				all.Go(func() {
					sent := fmt.Append(nil, "stream ", i)
					if got, err := ask(d, "echo", sent); !bytes.Equal(got, sent) || err != nil {
						t.Errorf("sent %q, got %q, %v", sent, got, err)
					}
				})
			}
			all.Wait()
		})

		t.Run("20 MB to the client", func(t *testing.T) {
			sent := make([]byte, 20e6)
			rand.Read(sent)
			start := time.Now()
			got, err := ask(d, "digest", sent)
			if want := fmt.Sprint(len(sent), " ", digest(sent)); string(got) != want || err != nil {
				t.Errorf("the client has got %s, %v, want %s", got, err, want)
			}
			t.Logf("%.0f MB/s", 20/time.Since(start).Seconds())
		})

		t.Run("20 MB from the client", func(t *testing.T) {
			start := time.Now()
			got, err := ask(d, "send 20000000", nil)
			if len(got) != 20e6 || err != nil {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
			s.hears(t, "sent", digest(got))
			t.Logf("%.0f MB/s", 20/time.Since(start).Seconds())
		})

		t.Run("streams of the client", func(t *testing.T) {
			if _, err := ask(d, "dial 300", nil); err != nil {
				t.Fatal(err)
			}
			r := s.hears(t, "dialled", "")
			if len(r.Answers) != 300 {
				t.Errorf("%d answers", len(r.Answers))
			}
			for i, got := range r.Answers {
				if want := fmt.Sprint("heard stream ", i); got != want {
					t.Errorf("the server answers %q, want %q", got, want)
				}
			}
		})

		t.Run("ping", func(t *testing.T) {
			if err := d.Ping(t.Context()); err != nil {
				t.Error(err)
			}
		})
	})
}
