package muxlib_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/muxlib"
)

// pair makes a session of m over TCP.
func pair(t *testing.T, m mux.Muxer, config mux.Config) (dial, listen mux.Session) {
	t.Helper()
	dialled, accepted := testnet.Pair(t)
	dial, err := m.DialSide(dialled, config)
	if err != nil {
		t.Fatal(err)
	}
	listen, err = m.ListenSide(accepted, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		done := make(chan struct{})
		go func() { defer close(done); dial.Close() }()
		listen.Close()
		<-done
	})
	return dial, listen
}

// TestEnds expects the end of a stream to differ from the end of its session, although
// the library does not tell them apart.
func TestEnds(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(writer mux.Stream, s mux.Session)
		want error
	}{
		"CloseWrite":           {func(writer mux.Stream, _ mux.Session) { writer.CloseWrite() }, nil},
		"Close":                {func(writer mux.Stream, _ mux.Session) { writer.Close() }, nil},
		"Close of the session": {func(_ mux.Stream, s mux.Session) { s.Close() }, mux.ErrSessionEnded},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			dial, listen := pair(t, NewYamux(), mux.Config{})
			writer, err := dial.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			reader, err := listen.Accept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			io.WriteString(writer, "half of an answ")
			if _, err := io.ReadFull(reader, make([]byte, len("half of"))); err != nil {
				t.Fatal("read:", err)
			}
			go test.end(writer, dial)
			if got, err := io.ReadAll(reader); string(got) != " an answ" || !errors.Is(err, test.want) {
				t.Errorf("read %q, %v, want %v", got, err, test.want)
			}
		})
	}
}

// TestNoMessages sends a message, which the library cannot.
func TestNoMessages(t *testing.T) {
	leak.Check(t)
	dial, _ := pair(t, NewYamux(), mux.Config{})
	if err := dial.Send([]byte("hello")); err == nil {
		t.Error("a library without messages sends one")
	}
}

// TestStartFails expects the error of Start, and a closed connection.
func TestStartFails(t *testing.T) {
	leak.Check(t)
	cause := errors.New("not today")
	m := muxlib.New(muxlib.Library{Name: "none", Start: func(*muxlib.End) (muxlib.Session, error) { return nil, cause }})
	ours, theirs := testnet.Pair(t)
	if _, err := m.DialSide(ours, mux.Config{}); !errors.Is(err, cause) {
		t.Errorf("error %v, want %v", err, cause)
	}
	if _, err := theirs.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read: %v, want io.EOF: the connection is closed", err)
	}
}

// A slow library opens a stream when it is told to.
type slow struct {
	end   *muxlib.End
	calls *atomic.Int32      // of Open
	opens chan chan net.Conn // those that wait
	done  chan struct{}
}

func (l slow) Open() (net.Conn, error) {
	l.calls.Add(1)
	opened := make(chan net.Conn)
	select {
	case l.opens <- opened:
		return <-opened, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l slow) Accept() (net.Conn, error) {
	_, err := l.end.Read(make([]byte, 1))
	return nil, err
}

func (l slow) Close() error {
	close(l.done)
	return l.end.Close()
}

// startSlow starts a session of a slow library that can open so many streams.
func startSlow(t *testing.T, streams int64, config mux.Config) (mux.Session, slow) {
	t.Helper()
	library := slow{calls: new(atomic.Int32), opens: make(chan chan net.Conn), done: make(chan struct{})}
	m := muxlib.New(muxlib.Library{Name: "slow", Streams: streams, Start: func(end *muxlib.End) (muxlib.Session, error) {
		library.end = end
		return library, nil
	}})
	ours, _ := testnet.Pair(t)
	config.Linger = -1
	s, err := m.DialSide(ours, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, library
}

// TestOpenIsLeftToTheNext gives up Opens that wait. The library must be asked only once
// for them.
func TestOpenIsLeftToTheNext(t *testing.T) {
	leak.Check(t)
	s, library := startSlow(t, 0, mux.Config{})
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if _, err := s.Open(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want context.DeadlineExceeded", err)
		}
		cancel()
	}
	if n := library.calls.Load(); n != 1 {
		t.Errorf("the library is asked %d times for one stream at a time, want once", n)
	}
	opened := make(chan error)
	go func() { _, err := s.Open(t.Context()); opened <- err }()
	for done := false; !done; {
		stream, _ := net.Pipe()
		select {
		case call := <-library.opens: // one that came before Open waited is given up
			call <- stream
		case err := <-opened:
			if done = true; err != nil {
				t.Error("open:", err)
			}
		}
	}
}

// TestOpenEndsWithSession lets an Open wait for the library when no more streams can be
// opened.
func TestOpenEndsWithSession(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(s mux.Session, l slow)
		want error
	}{
		{"Shutdown", func(s mux.Session, _ slow) { s.Shutdown(context.Background()) }, net.ErrClosed},
		{"Close", func(s mux.Session, _ slow) { s.Close() }, net.ErrClosed},
		{"PeerLeaves", func(_ mux.Session, l slow) { l.end.PeerLeaves() }, mux.ErrGoAway},
	} {
		t.Run(test.name, func(t *testing.T) {
			leak.Check(t)
			s, library := startSlow(t, 0, mux.Config{})
			inUse := make(chan struct{})
			go func() {
				stream, _ := net.Pipe()
				(<-library.opens) <- stream
				close(inUse)
			}()
			st, err := s.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer st.Close() // until then Shutdown waits
			<-inUse
			opened := make(chan error, 1)
			go func() { _, err := s.Open(t.Context()); opened <- err }()
			call := <-library.opens // it waits
			defer func() { stream, _ := net.Pipe(); call <- stream }()
			go test.end(s, library)
			if err := await.From(t, "Open", opened); !errors.Is(err, test.want) {
				t.Errorf("open: %v, want %v", err, test.want)
			}
		})
	}
}

// TestExhausting opens all streams that there are ids for.
func TestExhausting(t *testing.T) {
	leak.Check(t)
	exhausting := make(chan struct{})
	s, library := startSlow(t, 1<<20+2, mux.Config{OnExhausting: func() { close(exhausting) }})
	for range 2 {
		select {
		case <-exhausting:
			t.Fatal("OnExhausting is called too soon")
		default:
		}
		go func() { stream, _ := net.Pipe(); (<-library.opens) <- stream }()
		if _, err := s.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	<-exhausting
}
