package cluster_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

// asker opens a session with the replica that claims a client, as another replica does.
func (s *site) asker(t *testing.T, id string) *transport.Listener {
	t.Helper()
	node := s.node(t, id)
	config := s.ca.Mutual(t, "hostile")
	config.ServerName = node.Name
	lis, err := transport.DialAndListenContext(t.Context(), node.URL, http.Header{}, transport.WithTLSConfig(config), transport.WithCloseGrace(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	return lis
}

// say opens a connection to a replica, and says something.
func say(t *testing.T, to *transport.Listener, text string) transport.Conn {
	t.Helper()
	conn, err := to.DialContext(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	io.WriteString(conn, text) // fails if the replica has refused already
	return conn.(transport.Conn)
}

// hears returns what a replica says until the end, within 20 s.
func hears(t *testing.T, conn net.Conn) string {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	text, err := io.ReadAll(conn)
	if err != nil && !errors.Is(err, mux.ErrReset) {
		t.Error("read:", err)
	}
	return string(text)
}

// TestHostileQuestion asks invalid questions. The replica refuses them, and no other
// connection suffers.
func TestHostileQuestion(t *testing.T) {
	s := newSite(t)
	a := s.replica(t, "a")
	a.connect(t, "x", "x")
	s.located(t, "x", "a")
	evil := s.asker(t, "x")
	if got := nameOf(t, welcome(t, say(t, evil, ask("x")))); got != "x" {
		t.Errorf("a proper question reaches %q", got)
	}
	const refused = "\x05" // the kind of answer
	for name, question := range map[string]struct{ says, want string }{
		"another client":      {ask("y"), moved},
		"an invalid ID":       {ask("../x y"), refused},
		"no ID":               {ask(""), refused},
		"an ID too long":      {ask(strings.Repeat("x", 129)), refused},
		"the longest ID":      {ask(strings.Repeat("x", 128)), moved},
		"another kind":        {"\x00\x04\x09\x00\x01x", refused},
		"an empty frame":      {"\x00\x00", refused},
		"a frame too long":    {"\xff\xff" + strings.Repeat("x", 65535), refused},
		"the wrong protocol":  {"GET / HTTP/1.1\r\n\r\n" + strings.Repeat("x", 65535), refused},
		"longer than its own": {"\x00\x04\x01\x00\x09x", refused},
	} {
		got := hears(t, say(t, evil, question.says))
		if question.want == moved && got != moved || question.want == refused && (len(got) < 3 || got[2:3] != refused) {
			t.Errorf("%s: the answer is %q, want %q", name, got, question.want)
		}
	}
	if got := nameOf(t, welcome(t, say(t, evil, ask("x")))); got != "x" {
		t.Errorf("a proper question reaches %q", got)
	}
}

// welcome reads the answer that the connection is open.
func welcome(t *testing.T, conn net.Conn) net.Conn {
	t.Helper()
	got := make([]byte, len(open))
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != open {
		t.Fatalf("the answer is %q, %v", got, err)
	}
	return conn
}

// In TestUnfinishedQuestion an asker never completes its question, and the replica does not
// wait for it.
func TestUnfinishedQuestion(t *testing.T) {
	long.Only(t)
	s := newSite(t)
	a := s.replica(t, "a")
	a.connect(t, "x", "x")
	s.located(t, "x", "a")
	evil := s.asker(t, "x")
	var asking sync.WaitGroup
	for _, part := range []string{"", "\x00", "\x00\x04\x01"} {
		conn := say(t, evil, part)
		asking.Go(func() {
			if got := hears(t, conn); strings.Contains(got, open) {
				t.Errorf("%q: the answer is %q", part, got)
			}
		})
	}
	ended := say(t, evil, "\x00\x04\x01")
	ended.CloseWrite()
	if got := hears(t, ended); !strings.Contains(got, "EOF") {
		t.Errorf("half a question: the answer is %q", got)
	}
	asking.Wait()
	await.Until(t, "the replica waits for nobody", func() bool { return !running("answer") })
}

// TestManyQuestions opens thousands of connections that ask nothing, or that ask for a client
// that accepts nothing. The replica serves others, and with the session all of them end.
func TestManyQuestions(t *testing.T) {
	const flood = 2000
	for name, text := range map[string]string{"none": "", "held": ask("full")} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			a := s.replica(t, "a")
			a.connect(t, "x", "x")
			a.full(t, "full")
			s.located(t, "x", "a")
			s.located(t, "full", "a")
			evil := s.asker(t, "x")
			for range flood {
				conn, err := evil.DialContext(t.Context(), "", "")
				if err != nil {
					t.Fatal(err)
				}
				io.WriteString(conn, text)
			}
			c := s.service(t, "c")
			reachesNow(t, c, "x", "x")
			if got := nameOf(t, welcome(t, say(t, evil, ask("x")))); got != "x" {
				t.Errorf("a question after the flood reaches %q", got)
			}
			evil.Close()
			await.Until(t, "the replica waits for nobody", func() bool { return !running("answer") })
			reachesNow(t, c, "x", "x")
		})
	}
}

// TestTooManyQuestions opens more connections than a replica takes from another.
func TestTooManyQuestions(t *testing.T) {
	long.Only(t) // it opens 16,384 connections
	s := newSite(t)
	a := s.replica(t, "a")
	a.connect(t, "x", "x")
	s.located(t, "x", "a")
	evil := s.asker(t, "x")
	ctx, refused := context.WithCancel(t.Context())
	defer refused()
	var reading sync.WaitGroup
	defer reading.Wait()
	defer evil.Close()
	for range 3 * 16384 {
		conn, err := evil.DialContext(ctx, "", "")
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		opened := time.Now()
		reading.Go(func() {
			_, err := conn.Read(make([]byte, 1))
			if errors.Is(err, mux.ErrReset) && time.Since(opened) < 5*time.Second { // not because it asks nothing
				refused()
			}
		})
	}
	await.From(t, "a refusal", ctx.Done())
	reachesNow(t, s.service(t, "c"), "x", "x")
}

// In TestTalkWhileHeld the asker sends data before the connection is open.
func TestTalkWhileHeld(t *testing.T) {
	s := newSite(t)
	a := s.replica(t, "a")
	a.full(t, "full")
	s.located(t, "full", "a")
	conn := say(t, s.asker(t, "full"), ask("full")+"impatient")
	if got := hears(t, conn); !strings.HasPrefix(got, held) || strings.Contains(got, open) {
		t.Errorf("the answer is %q, want that the client is dialled, and then that it is not", got)
	}
}
