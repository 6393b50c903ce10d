package yamuxmux_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/yamuxmux"
)

// TestLibrary talks to the library, in both roles.
func TestLibrary(t *testing.T) {
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard
	t.Run("DialSide", func(t *testing.T) {
		leak.Check(t)
		ours, theirs := testnet.Pair(t)
		lib, err := yamux.Server(theirs, config)
		if err != nil {
			t.Fatal(err)
		}
		s, err := yamuxmux.New().DialSide(ours, mux.Config{})
		if err != nil {
			t.Fatal(err)
		}
		go echo(lib)
		for i := range 300 { // more than the library's backlog
			st, err := s.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			exchange(t, st, st.CloseWrite, size(i))
			if err := s.Send([]byte("which the library ignores")); err != nil {
				t.Fatal(err)
			}
		}
		s.Close()
		awaitLibrary(t, lib)
	})
	t.Run("ListenSide", func(t *testing.T) {
		leak.Check(t)
		ours, theirs := testnet.Pair(t)
		lib, err := yamux.Client(theirs, config)
		if err != nil {
			t.Fatal(err)
		}
		s, err := yamuxmux.New().ListenSide(ours, mux.Config{})
		if err != nil {
			t.Fatal(err)
		}
		go echo(sessionListener{s})
		for i := range 300 {
			st, err := lib.OpenStream()
			if err != nil {
				t.Fatal(err)
			}
			exchange(t, st, st.Close, size(i))
			if err := s.Send([]byte("which the library ignores")); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := lib.Ping(); err != nil {
			t.Error("ping:", err)
		}
		lib.Close()
		<-s.Context().Done()
		s.Close()
	})
}

// TestLibraryIsReset lets the library write on after we closed the stream.
func TestLibraryIsReset(t *testing.T) {
	leak.Check(t)
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard
	ours, theirs := testnet.Pair(t)
	lib, err := yamux.Client(theirs, config)
	if err != nil {
		t.Fatal(err)
	}
	defer lib.Close()
	s, err := yamuxmux.New().ListenSide(ours, mux.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
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
	if !errors.Is(err, yamux.ErrConnectionReset) && !errors.Is(err, yamux.ErrStreamClosed) {
		t.Errorf("error %v, want the library's ErrConnectionReset", err)
	}
}

// TestLibrarySeesReset resets streams that the library reads and writes.
func TestLibrarySeesReset(t *testing.T) {
	leak.Check(t)
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard
	ours, theirs := testnet.Pair(t)
	lib, err := yamux.Server(theirs, config)
	if err != nil {
		t.Fatal(err)
	}
	defer lib.Close()
	s, err := yamuxmux.New().DialSide(ours, mux.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for name, call := range map[string]func(net.Conn) error{
		"Read":  func(c net.Conn) error { _, err := io.ReadAll(c); return err },
		"Write": func(c net.Conn) error { _, err := c.Write(make([]byte, 1<<20)); return err },
		"Read after the library's Close": func(c net.Conn) error {
			c.Close() // which ends its half alone
			_, err := io.ReadAll(c)
			return err
		},
	} {
		st, err := s.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(st, "half of an answ")
		theirs, err := lib.Accept()
		if err != nil {
			t.Fatal(err)
		}
		theirs.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadFull(theirs, make([]byte, len("half of"))); err != nil {
			t.Fatal("read:", err)
		}
		failed := make(chan error)
		go func() { failed <- call(theirs) }()
		st.Reset()
		if err := <-failed; !errors.Is(err, yamux.ErrConnectionReset) {
			t.Errorf("%s: error %v, want the library's ErrConnectionReset", name, err)
		}
	}
	go echo(lib)
	st, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exchange(t, st, st.CloseWrite, 1000) // the library does not mind
}

// size is sometimes more than a window.
func size(i int) int {
	if i%50 == 0 {
		return 300_000
	}
	return i
}

// exchange sends size bytes, ends its half, and expects it all back.
func exchange(t *testing.T, st net.Conn, closeWrite func() error, size int) {
	t.Helper()
	sent := bytes.Repeat([]byte("x"), size)
	go func() {
		st.Write(sent)
		closeWrite()
	}()
	if got, err := io.ReadAll(st); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("echo: %d of %d bytes, %v", len(got), len(sent), err)
	}
	st.Close()
}

type sessionListener struct{ mux.Session }

func (s sessionListener) Accept() (net.Conn, error) { return s.Session.Accept(context.Background()) }

func echo(l interface{ Accept() (net.Conn, error) }) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			io.Copy(c, c)
			c.Close()
		}()
	}
}

func awaitLibrary(t *testing.T, lib *yamux.Session) {
	t.Helper()
	<-lib.CloseChan()
	lib.Close()
}
