package cluster_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

// What replicas say, by its bytes.
const (
	held  = "\x00\x01\x01"
	open  = "\x00\x01\x02"
	moved = "\x00\x01\x03"
)

// ask is the question for a client.
func ask(id string) string {
	b := binary.BigEndian.AppendUint16(nil, uint16(3+len(id)))
	b = append(b, 1)
	b = binary.BigEndian.AppendUint16(b, uint16(len(id)))
	return string(b) + id
}

// An imposture is a server that has the certificate of a replica, but is none.
type imposture struct {
	endpoint func(*transport.Dialer)           // or nil
	answer   func(*transport.Dialer, net.Conn) // to questions
}

// serve starts it, and returns what it claims to be.
func (i imposture) serve(t *testing.T, s *site) cluster.Node {
	t.Helper()
	if i.endpoint == nil {
		i.endpoint = func(*transport.Dialer) {}
	}
	server := transport.NewServer(transport.EndpointHandlerFunc(i.endpoint),
		transport.WithAcceptFromClient(i.answer), transport.WithRequireNegotiation(),
		transport.WithLimits(mux.Config{AcceptBacklog: 1 << 20})) // which it opens before it waits
	config := s.ca.Mutual(t, "evil")
	config.NextProtos = []string{"http/1.1"}
	ln := listen(t)
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(tls.NewListener(ln, config))
	}()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return cluster.Node{Name: "evil", Run: "evil", URL: "https://" + ln.Addr().String()}
}

// In TestHostileAnswer a replica sends answers that no sound replica sends. The error names it
// and comes in time, and others are not harmed.
func TestHostileAnswer(t *testing.T) {
	long.Only(t)
	s := newSite(t)
	s.replica(t, "a").connect(t, "y", "y")
	s.located(t, "y", "a")
	const late = "no answer in time"
	silence := func(conn net.Conn) { io.Copy(io.Discard, conn) }
	says := func(text string) func(net.Conn) {
		return func(conn net.Conn) {
			io.WriteString(conn, text)
			silence(conn)
		}
	}
	for name, bad := range map[string]struct {
		answer func(net.Conn)
		want   string
	}{
		"nothing":              {silence, late},
		"half a head":          {says("\x00"), late},
		"half a frame":         {says("\x00\x09\x02"), late},
		"an empty frame":       {says("\x00\x00"), "empty"},
		"a frame too long":     {says("\xff\xff" + strings.Repeat("x", 65535)), "65535 bytes"},
		"the wrong protocol":   {says("HTTP/1.1 200 OK\r\n\r\n"), "want 512 at most"},
		"another kind":         {says("\x00\x01\x63"), "answer 99"},
		"held twice":           {says(held + held), "answer 1"},
		"held, then garbage":   {says(held + "\x00\x00"), "empty"},
		"held, and gone":       {func(conn net.Conn) { io.WriteString(conn, held); conn.Close() }, "EOF"},
		"held without end":     {func(conn net.Conn) { io.Copy(conn, endless(held)) }, "answer 1"},
		"the end":              {func(conn net.Conn) { conn.Close() }, "EOF"},
		"a reset":              {func(conn net.Conn) { conn.(transport.Conn).Reset() }, "reset"},
		"a reset after a part": {func(conn net.Conn) { io.WriteString(conn, "\x00"); conn.(transport.Conn).Reset() }, "reset"},
		"a text to be shown":   {says("\x00\x06\x05\x1b[2J\n"), `could not dial the client: "\x1b[2J\n"`},
		"moved, with a text":   {says("\x00\x04\x03abc"), "abc"},
	} {
		t.Run(name, func(t *testing.T) {
			said := s.hearsay()
			opts := []cluster.Option{cluster.WithRegistry(said)}
			if bad.want == late {
				opts = append(opts, cluster.WithTryTimeout(tryTimeout))
			}
			c := s.service(t, "c", opts...)
			said.claims(imposture{answer: func(_ *transport.Dialer, conn net.Conn) {
				defer conn.Close()
				bad.answer(conn)
			}}.serve(t, s))
			began := time.Now()
			conn, err := c.Dial(t.Context(), "x")
			if err == nil || !strings.Contains(err.Error(), `"evil"`) || !strings.Contains(err.Error(), bad.want) {
				t.Fatalf("%v, %v, want an error of replica evil, with %q", conn, err, bad.want)
			}
			if took := time.Since(began); took > patient {
				t.Errorf("it took %v", took)
			}
			said.says.Store(nil)
			reachesSoon(t, c, "y", "y")
		})
	}
}

// In TestHostileHold a replica says for ever that it dials the client.
func TestHostileHold(t *testing.T) {
	long.Only(t)
	s := newSite(t)
	ended := make(chan error, 1)
	said := s.hearsay()
	said.claims(imposture{answer: func(_ *transport.Dialer, conn net.Conn) {
		defer conn.Close()
		if _, err := io.ReadFull(conn, make([]byte, len(ask("x")))); err != nil {
			t.Error(err)
		}
		io.WriteString(conn, held)
		_, err := conn.Read(make([]byte, 1))
		ended <- err
	}}.serve(t, s))
	c := s.service(t, "c", cluster.WithRegistry(said), cluster.WithTryTimeout(2*tryTimeout))
	ctx, cancel := context.WithTimeout(t.Context(), 4*tryTimeout)
	defer cancel()
	if _, err := c.Dial(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `"evil"`) {
		t.Errorf("%v, want the error of ctx, and the replica's name", err)
	}
	if err := await.From(t, "the end of the question", ended); err == nil || err == io.EOF {
		t.Errorf("%v, want that the asker has given up", err)
	}
}

// In TestHostileStreams a replica opens connections to an asker, which accepts none.
func TestHostileStreams(t *testing.T) {
	s := newSite(t)
	s.replica(t, "a").connect(t, "y", "y")
	s.located(t, "y", "a")
	ended := make(chan int, 64) // sessions, of which it takes a few
	said := s.hearsay()
	said.claims(imposture{
		endpoint: func(d *transport.Dialer) {
			opened := 0
			defer func() { ended <- opened }()
			for ; opened < 5000; opened++ {
				conn, err := d.Dial()
				if err != nil {
					return
				}
				conn.SetDeadline(time.Now().Add(tryTimeout))
				conn.Write(make([]byte, 1<<10))
				conn.Read(make([]byte, 1)) // until the refusal: otherwise opened says nothing about the limit
				conn.Close()
			}
		},
		answer: func(_ *transport.Dialer, conn net.Conn) {
			io.WriteString(conn, moved)
			conn.Close()
		},
	}.serve(t, s))
	c := s.service(t, "c", cluster.WithRegistry(said))
	if conn, err := c.Dial(t.Context(), "x"); err == nil {
		t.Errorf("%v, want an error", conn)
	}
	if opened := await.From(t, "the end of the flood", ended); opened > 110 {
		t.Errorf("%d connections were opened to the asker, want little more than 100", opened)
	}
	said.says.Store(nil)
	reachesNow(t, c, "y", "y")
}

// In TestManyClaims a replica claims clients under ever new Runs, and each Run gets a session of its
// own. This process must still reach clients on other replicas.
func TestManyClaims(t *testing.T) {
	const limit, claims = 8, 40
	for _, url := range []string{"", "https://" + listen(t).Addr().String()} { // of the replica, and of nobody
		s := newSite(t)
		s.replica(t, "a").connect(t, "y", "y")
		s.replica(t, "b").connect(t, "z", "z")
		s.located(t, "y", "a")
		s.located(t, "z", "b")
		said := s.hearsay()
		c := s.service(t, "c", cluster.WithRegistry(said))
		c.LimitPeers(limit)
		used := dial(t, c, "y")
		evil := imposture{answer: func(_ *transport.Dialer, conn net.Conn) {
			io.WriteString(conn, moved)
			conn.Close()
		}}.serve(t, s)
		run := 0
		said.say(func(_ context.Context, id string, _ ...string) (cluster.Claim, error) {
			run++
			node := evil
			node.Run, node.URL = fmt.Sprint(run), cmp.Or(url, evil.URL)
			return cluster.Claim{ID: id, Node: node}, nil
		})
		for run < claims {
			ctx, cancel := context.WithTimeout(t.Context(), patient)
			if url != "" {
				ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
			}
			if conn, err := c.Dial(ctx, "x"); err == nil {
				t.Errorf("%v, want an error", conn)
			} else if strings.Contains(err.Error(), "too many") {
				t.Fatal(err)
			}
			cancel()
		}
		said.says.Store(nil)
		reachesNow(t, c, "z", "z")
		echoes(t, used, "still here")
		await.Until(t, "not too many sessions are open", func() bool { return c.Stats().Peers <= limit })
	}
}

// endless reads a text again and again.
type endless string

func (e endless) Read(p []byte) (int, error) {
	n := 0
	for n+len(e) <= len(p) {
		n += copy(p[n:], e)
	}
	return n, nil
}
