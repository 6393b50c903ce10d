package smuxmux_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/xtaci/smux"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/smuxmux"
)

func libraryConfig() *smux.Config {
	c := smux.DefaultConfig()
	c.Version = 2
	c.MaxStreamBuffer = 256 << 10
	return c
}

// TestLibrary talks to the library, in both roles.
func TestLibrary(t *testing.T) {
	t.Run("DialSide", func(t *testing.T) {
		leak.Check(t)
		ours, theirs := testnet.Pair(t)
		lib, err := smux.Server(theirs, libraryConfig())
		if err != nil {
			t.Fatal(err)
		}
		s, err := smuxmux.New().DialSide(ours, mux.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close() // after lib, which does not notice the end by itself
		defer lib.Close()
		go echo(func() (stream, error) { return lib.AcceptStream() })
		for i := range 300 {
			st, err := s.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			exchange(t, st, size(i))
			if err := s.Send([]byte("which the library ignores")); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("ListenSide", func(t *testing.T) {
		leak.Check(t)
		ours, theirs := testnet.Pair(t)
		lib, err := smux.Client(theirs, libraryConfig())
		if err != nil {
			t.Fatal(err)
		}
		s, err := smuxmux.New().ListenSide(ours, mux.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close() // after lib, which does not notice the end by itself
		defer lib.Close()
		go echo(func() (stream, error) { return s.Accept(t.Context()) })
		for i := range 300 {
			st, err := lib.OpenStream()
			if err != nil {
				t.Fatal(err)
			}
			exchange(t, st, size(i))
			if err := s.Send([]byte("which the library ignores")); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestLibraryIsStopped lets the library write on after we closed the stream. Between two
// ends that use the library, that Write blocks forever.
func TestLibraryIsStopped(t *testing.T) {
	leak.Check(t)
	ours, theirs := testnet.Pair(t)
	lib, err := smux.Client(theirs, libraryConfig())
	if err != nil {
		t.Fatal(err)
	}
	s, err := smuxmux.New().ListenSide(ours, mux.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	defer lib.Close()
	writer, err := lib.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	reader, err := s.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	reader.Close()
	for err == nil {
		_, err = writer.Write(make([]byte, 64<<10))
	}
	if !errors.Is(err, smux.ErrConsumed) {
		t.Errorf("error %v, want the library's ErrConsumed", err)
	}
}

// TestLibrarySeesReset resets streams that the library reads and writes. The library has
// no resets, so what it reads looks complete.
func TestLibrarySeesReset(t *testing.T) {
	leak.Check(t)
	ours, theirs := testnet.Pair(t)
	lib, err := smux.Server(theirs, libraryConfig())
	if err != nil {
		t.Fatal(err)
	}
	s, err := smuxmux.New().DialSide(ours, mux.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() // after lib, which does not notice the end by itself
	defer lib.Close()
	st, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(st, "half of an answ")
	peer, err := lib.AcceptStream()
	if err != nil {
		t.Fatal(err)
	}
	peer.SetDeadline(time.Now().Add(10 * time.Second))
	st.Reset()
	if got, err := io.ReadAll(peer); string(got) != "half of an answ" || err != nil {
		t.Errorf("the library reads %q, %v, where it should know no better", got, err)
	}
	if _, err := peer.Write([]byte("x")); !errors.Is(err, smux.ErrConsumed) {
		t.Errorf("write: error %v, want the library's ErrConsumed", err)
	}
	peer.Close()
	go echo(func() (stream, error) { return lib.AcceptStream() })
	if st, err = s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	exchange(t, st, 1000) // the library does not mind
}

type stream interface {
	net.Conn
	CloseWrite() error
}

// size is sometimes more than a window.
func size(i int) int {
	if i%50 == 0 {
		return 300_000
	}
	return i
}

// exchange sends size bytes, expects them back, and ends its half, after which the other
// end does the same. It does not end its half earlier, because the library, when both
// halves have ended, may take what it has not delivered yet for the end.
func exchange(t *testing.T, st stream, size int) {
	t.Helper()
	sent, got := bytes.Repeat([]byte("x"), size), make([]byte, size)
	go st.Write(sent)
	if n, err := io.ReadFull(st, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("echo: %d of %d bytes, %v", n, size, err)
	}
	st.CloseWrite()
	if rest, err := io.ReadAll(st); err != nil || len(rest) > 0 {
		t.Fatalf("end: %d bytes more, %v", len(rest), err)
	}
	st.Close()
}

func echo(accept func() (stream, error)) {
	for {
		c, err := accept()
		if err != nil {
			return
		}
		go func() {
			io.Copy(c, c)
			c.CloseWrite()
			c.Close()
		}()
	}
}
