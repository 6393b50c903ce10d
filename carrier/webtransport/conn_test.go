package webtransport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	foreign "github.com/quic-go/webtransport-go"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
)

// wantLost fails t if err does not say want, or says that this end closed, or that the
// end was orderly.
func wantLost(t *testing.T, what string, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
		t.Errorf("%s returned %v, want %q and neither net.ErrClosed nor io.EOF", what, err, want)
	}
}

// TestPeerCloses lets a peer close the session with a code and a message.
func TestPeerCloses(t *testing.T) {
	for name, meet := range map[string]func(*testing.T) (*foreign.Session, carrier.StreamConn){
		"Server": func(t *testing.T) (*foreign.Session, carrier.StreamConn) { return meet(t, webtransport.New()) },
		"Client": func(t *testing.T) (*foreign.Session, carrier.StreamConn) {
			own, session := meetServer(t, webtransport.New())
			return session, own
		},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			session, own := meet(t)
			read := start(func() error { _, err := own.Read(make([]byte, 1)); return err })
			session.CloseWithError(7, "out of order")
			const want = `peer closed the session with code 7 "out of order"`
			err := await.From(t, "Read", read)
			wantLost(t, "Read", err, want)
			if e, ok := errors.AsType[*foreign.SessionError](err); !ok || e.ErrorCode != 7 {
				t.Errorf("Read returned %#v, of which the code cannot be had", err)
			}
			_, err = own.OpenStream(t.Context())
			wantLost(t, "OpenStream", err, want)
		})
	}
}

// TestCloseTellsPeer closes, and looks at what a peer sees.
func TestCloseTellsPeer(t *testing.T) {
	check := func(t *testing.T, own carrier.StreamConn, session *foreign.Session) {
		t.Helper()
		own.Close()
		_, err := session.AcceptStream(t.Context())
		if e, ok := errors.AsType[*foreign.SessionError](err); !ok || !e.Remote || e.ErrorCode != 0 {
			t.Errorf("peer of Close gets %v, want a session that was closed with code 0", err)
		}
	}
	t.Run("Server", func(t *testing.T) {
		leak.Check(t)
		session, own := meet(t, webtransport.New())
		check(t, own, session)
	})
	t.Run("Client", func(t *testing.T) {
		leak.Check(t)
		own, session := meetServer(t, webtransport.New())
		check(t, own, session)
	})
}

// TestPeerResets lets a peer give up the byte stream.
func TestPeerResets(t *testing.T) {
	leak.Check(t)
	session, own := meet(t, webtransport.New())
	str, err := session.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := str.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(own, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	str.CancelWrite(3)
	if _, err := own.Read(make([]byte, 1)); !isA[*carrier.CanceledError](err) {
		t.Errorf("Read returned %v, want a CanceledError", err)
	}
}

func TestSilentPeer(t *testing.T) {
	leak.Parallel(t)
	client, server := connect(t, webtransport.New(webtransport.WithIdleTimeout(300*time.Millisecond), webtransport.WithKeepAlive(-1)))
	opened, err := server.OpenStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const want = "no sign of life from the peer until the idle timeout"
	_, err = opened.Read(make([]byte, 1))
	wantLost(t, "Read", err, want)
	_, err = client.AcceptStream(t.Context()) // has it already
	if err == nil {
		_, err = client.AcceptStream(t.Context())
	}
	wantLost(t, "AcceptStream", err, want)
	wantLost(t, "CloseWrite", opened.CloseWrite(), want)
	_, err = client.Write([]byte("x"))
	wantLost(t, "Write", err, want)
}

func TestKeepAlive(t *testing.T) {
	leak.Parallel(t)
	client, server := connect(t, webtransport.New(webtransport.WithIdleTimeout(time.Second), webtransport.WithKeepAlive(100*time.Millisecond)))
	ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
	defer cancel()
	if _, err := client.AcceptStream(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("silent connection ended with %v", err)
	}
	checkEcho(t, client, server)
}

// TestNoIdleTimeout uses ends without an idle timeout.
func TestNoIdleTimeout(t *testing.T) {
	leak.Check(t)
	client, server := connect(t, webtransport.New(webtransport.WithIdleTimeout(-1)))
	checkEcho(t, client, server)
}

// TestForeignTraffic sends traffic that a connection does not use.
func TestForeignTraffic(t *testing.T) {
	leak.Check(t)
	session, own := meet(t, webtransport.New())
	for range 200 {
		if err := session.SendDatagram(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 { // more than may be open at a time
		str, err := session.OpenUniStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = str.Write(make([]byte, 1<<10))
		}
		if !isA[*foreign.StreamError](err) {
			t.Fatalf("Write to a unidirectional stream returned %v, want it to be refused", err)
		}
	}
	str, err := session.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := str.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(own, make([]byte, 5)); err != nil {
		t.Errorf("Read after foreign traffic: %v", err)
	}
}

// TestManyStreams lets a client open as many streams as it can.
func TestManyStreams(t *testing.T) {
	leak.Check(t)
	const streams, allowed = 100_000, 64
	session, own := meet(t, webtransport.New())
	goroutines := runtime.NumGoroutine()
	opened := 0
	for ; opened < streams; opened++ {
		str, err := session.OpenStream()
		if err != nil {
			break
		}
		if _, err := str.Write(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	if opened >= allowed { // one is the request
		t.Errorf("client has %d streams, want less than %d", opened, allowed)
	}
	if n := runtime.NumGoroutine() - goroutines; n > allowed {
		t.Errorf("%d streams made %d goroutines", opened, n)
	}
	for i := 1; i < opened; i++ { // the first is the byte stream
		if _, err := own.AcceptStream(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestUnreadStreams fills the windows of many streams that nobody reads. The windows are
// an eighth of the defaults, so that they fill soon.
func TestUnreadStreams(t *testing.T) {
	leak.Check(t)
	const window = 64 << 10
	client, server := connect(t, webtransport.New(webtransport.WithWindows(window, window, 8<<20)))
	for range 100 {
		s, err := server.OpenStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.AcceptStream(t.Context()); err != nil {
			t.Fatal(err)
		}
		// Write returns when all but a packet has been sent.
		s.SetWriteDeadline(time.Now().Add(patience))
		if _, err := s.Write(make([]byte, window-2<<10)); err != nil {
			t.Fatal("windows that nobody reads do not fill: ", err)
		}
		s.SetWriteDeadline(time.Time{})
		go s.Write(make([]byte, 1<<20)) // until the connection ends
	}
	opened, err := server.OpenStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := client.AcceptStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	written := start(func() error {
		_, err := opened.Write(make([]byte, 1<<20))
		return errors.Join(err, opened.CloseWrite())
	})
	read := start(func() error { _, err := io.Copy(io.Discard, accepted); return err })
	if err := errors.Join(await.From(t, "Write beside streams that nobody reads", written), await.From(t, "Read", read)); err != nil {
		t.Error(err)
	}
}

// TestNoLimitOfStreams opens more streams than a server allows by default.
func TestNoLimitOfStreams(t *testing.T) {
	leak.Check(t)
	client, _ := connect(t, webtransport.New(webtransport.WithMaxStreams(-1, -1)))
	for i := range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := client.OpenStream(ctx); err != nil {
			t.Fatalf("stream %d: %v", i, err)
		}
	}
}

// TestLimitOfStreams opens more streams than the client allows.
func TestLimitOfStreams(t *testing.T) {
	leak.Check(t)
	client, server := connect(t, webtransport.New(webtransport.WithMaxStreams(2, 0)))
	var streams []carrier.Stream
	for range 2 {
		s, err := server.OpenStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := server.OpenStream(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("OpenStream returned %v, want it to wait", err)
	}
	opened := start(func() error { _, err := server.OpenStream(t.Context()); return err })
	s, err := client.AcceptStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.CancelRead(0)
	s.CloseWrite()
	streams[0].CancelWrite(0)
	if err := await.From(t, "OpenStream once there is room", opened); err != nil {
		t.Error(err)
	}
	opened = start(func() error { _, err := server.OpenStream(t.Context()); return err })
	server.Close()
	if err := await.From(t, "OpenStream that Close should wake", opened); !errors.Is(err, net.ErrClosed) {
		t.Errorf("OpenStream that Close woke returned %v", err)
	}
}

// TestLinger closes a connection that must stay for its peer.
func TestLinger(t *testing.T) {
	leak.Check(t)
	client, server := connect(t, webtransport.New())
	checkEcho(t, client, server)
	opened, err := server.OpenStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.AcceptStream(t.Context()); err != nil {
		t.Fatal(err)
	}
	waits := map[string]<-chan error{
		"Read":         start(func() error { _, err := server.Read(make([]byte, 1)); return err }),
		"Stream.Read":  start(func() error { _, err := opened.Read(make([]byte, 1)); return err }),
		"AcceptStream": start(func() error { _, err := server.AcceptStream(t.Context()); return err }),
		"Stream.Write": start(func() error { _, err := opened.Write(make([]byte, 4<<20)); return err }),
	}
	if _, err := io.WriteString(server, "the last words"); err != nil {
		t.Fatal(err)
	}
	server.(carrier.CloseWriter).CloseWrite()
	server.Close()
	for what, result := range waits {
		select {
		case err := <-result:
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s that Close woke returned %v, want net.ErrClosed", what, err)
			}
		case <-time.After(2 * time.Second): // less than Close may linger
			t.Errorf("%s is not woken by Close", what)
		}
	}
	if got, err := io.ReadAll(client); string(got) != "the last words" || err != nil {
		t.Errorf("Read returned %q, %v", got, err)
	}
	client.(carrier.CloseWriter).CloseWrite()
	_, err = client.AcceptStream(t.Context())
	wantLost(t, "AcceptStream", err, "peer closed the session")
}

func TestNoDeadlines(t *testing.T) {
	leak.Check(t)
	client, _ := connect(t, webtransport.New())
	for name, set := range map[string]func(time.Time) error{
		"SetDeadline":      client.SetDeadline,
		"SetReadDeadline":  client.SetReadDeadline,
		"SetWriteDeadline": client.SetWriteDeadline,
	} {
		if err := set(time.Now()); !errors.Is(err, os.ErrNoDeadline) {
			t.Errorf("%s returned %v, want %v", name, err, os.ErrNoDeadline)
		}
	}
}
