//go:build unix

package interop

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hashicorp/yamux"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/faultnet"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/rhttp"
	"github.com/backdial/backdial/transport"
)

// The client of these tests, testdata/client.py, knows no more than docs/protocol.md says.

// A program is the client in Python.
type program struct {
	cmd   *exec.Cmd
	lines chan string // that it prints
}

// startPython starts the client, which lives until it is told to leave, or t is done.
func startPython(t *testing.T, url string, fields ...string) *program {
	t.Helper()
	python, err := exec.LookPath("python3")
	switch {
	case err == nil:
	case os.Getenv("BACKDIAL_REQUIRE_PYTHON") == "1":
		t.Fatal("no Python: install Debian's python3, or unset BACKDIAL_REQUIRE_PYTHON")
	default:
		t.Skip("no Python: install Debian's python3")
	}
	url = strings.Replace(url, "http", "ws", 1)
	p := &program{cmd: exec.Command(python, append([]string{"testdata/client.py", url}, fields...)...), lines: make(chan string, 1024)}
	var failure bytes.Buffer
	p.cmd.Stderr = &failure
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() { // ends with the program
		defer close(read)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-read
		p.cmd.Wait()
		if failure.Len() > 0 {
			t.Errorf("the client fails:\n%s", failure.String())
		}
	})
	return p
}

// says waits until the client prints a line with all of words, and returns it.
func (p *program) says(t *testing.T, words ...string) string {
	t.Helper()
	var before []string
	late := time.After(patience)
	for {
		select {
		case line := <-p.lines:
			has := true
			for _, word := range words {
				has = has && strings.Contains(line, word)
			}
			if has {
				return line
			}
			before = append(before, line)
		case <-late:
			t.Fatalf("the client has not said %q within %v, but %q", words, patience, before)
		}
	}
}

func (p *program) leave() { p.cmd.Process.Signal(syscall.SIGTERM) }

// A front leads clients to one of several servers, as a load balancer does.
type front struct {
	*httptest.Server
	dialers chan *transport.Dialer
	to      atomic.Pointer[http.Handler]
}

// newFront leads clients to a server of the given options.
func newFront(t *testing.T, opts ...transport.ServerOption) (*front, *transport.Server) {
	t.Helper()
	f := &front{dialers: make(chan *transport.Dialer, 16)}
	server := f.deploy(t, opts...)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*f.to.Load()).ServeHTTP(w, r) }))
	t.Cleanup(f.Close)
	return f, server
}

// deploy leads clients to another server from now on.
func (f *front) deploy(t *testing.T, opts ...transport.ServerOption) *transport.Server {
	server := transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) { f.dialers <- d }), opts...)
	f.lead(server)
	t.Cleanup(func() { server.Close() })
	return server
}

func (f *front) lead(to http.Handler) { f.to.Store(&to) }

// dial dials a client. The connection is closed when t is done.
func dial(t *testing.T, dialer interface{ Dial() (net.Conn, error) }) transport.Conn {
	t.Helper()
	conn, err := dialer.Dial()
	if err != nil {
		t.Fatal("dial:", err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn.(transport.Conn)
}

// echo makes the client send back a line and data, until its end.
func echo(conn io.ReadWriter, closeWrite func() error, data []byte) error {
	sent := append([]byte("echo\n"), data...)
	written := make(chan error, 1)
	go func() {
		_, err := conn.Write(sent)
		written <- errors.Join(err, closeWrite())
	}()
	got, err := io.ReadAll(conn)
	if err = errors.Join(err, <-written); err == nil && !bytes.Equal(got, sent) {
		err = fmt.Errorf("got %d other bytes than the %d that were sent", len(got), len(sent))
	}
	return err
}

func random(n int) []byte {
	data := make([]byte, n)
	rand.Read(data)
	return data
}

// In TestPythonIsDialled a client serves many streams at a time, some of which are larger than
// their windows.
func TestPythonIsDialled(t *testing.T) {
	leak.Check(t)
	f, _ := newFront(t, transport.WithServerID("one"))
	p := startPython(t, f.URL+"/connect?x=1", "DeviceId: 123")
	p.says(t, "connected")
	p.says(t, "server one")
	d := await.From(t, "the client", f.dialers)
	if got := d.Header.Get("DeviceId"); got != "123" || d.URL.RawQuery != "x=1" {
		t.Errorf("DeviceId %q, query %q", got, d.URL.RawQuery)
	}
	if info := d.Info(); info.Protocol != "backdial.v1.yamux" {
		t.Errorf("negotiated %+v", info)
	}
	data := random(1 << 20)
	client := &http.Client{Transport: rhttp.NewTransport(d)}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			conn, err := d.Dial()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(patience))
			if err := echo(conn, conn.(transport.Conn).CloseWrite, data[:len(data)>>i]); err != nil {
				t.Errorf("%d bytes: %v", len(data)>>i, err)
			}
		})
		all.Go(func() {
			path := fmt.Sprint("/page-", i)
			answer, err := client.Get("http://device" + path)
			if err != nil {
				t.Error(err)
				return
			}
			defer answer.Body.Close()
			if got, err := io.ReadAll(answer.Body); string(got) != path || err != nil {
				t.Errorf("the page is %q, %v", got, err)
			}
		})
		all.Go(func() {
			if err := d.Ping(t.Context()); err != nil {
				t.Error("ping:", err)
			}
		})
	}
	all.Wait()
}

// TestPythonAccepts opens more connections at a time than may wait to be accepted.
func TestPythonAccepts(t *testing.T) {
	leak.Check(t)
	f, _ := newFront(t)
	startPython(t, f.URL)
	d := await.From(t, "the client", f.dialers)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 300 {
		conn, err := d.DialContext(ctx, "", "")
		if err != nil {
			t.Fatal("dial:", err)
		}
		defer conn.Close()
	}
}

// In TestPythonLetsOthersPass the client cannot write on one stream, because nobody reads it.
func TestPythonLetsOthersPass(t *testing.T) {
	leak.Check(t)
	f, _ := newFront(t)
	startPython(t, f.URL)
	d := await.From(t, "the client", f.dialers)
	stuck := dial(t, d)
	stuck.SetWriteDeadline(time.Now().Add(time.Second))
	if n, err := stuck.Write(random(2 << 20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("wrote %d bytes that nobody reads: %v", n, err)
	}
	conn := dial(t, d)
	if err := echo(conn, conn.CloseWrite, random(1<<20)); err != nil {
		t.Error(err)
	}
}

// In TestPythonResets either end resets streams, and the session goes on.
func TestPythonResets(t *testing.T) {
	leak.Check(t)
	f, _ := newFront(t)
	p := startPython(t, f.URL)
	d := await.From(t, "the client", f.dialers)
	conn := dial(t, d)
	fmt.Fprintln(conn, "reset")
	if got, err := io.ReadAll(conn); len(got) > 0 || !errors.Is(err, mux.ErrReset) {
		t.Errorf("read %q, %v, want mux.ErrReset", got, err)
	}
	conn = dial(t, d)
	fmt.Fprintln(conn, "echo")
	if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	conn.Reset()
	p.says(t, "stream failed: reset by the server")
	conn = dial(t, d)
	fmt.Fprintln(conn, "close") // before it has read what follows
	for err := error(nil); !errors.Is(err, mux.ErrReset); {
		if _, err = conn.Write(make([]byte, 1<<10)); err != nil && !errors.Is(err, mux.ErrReset) {
			t.Fatal("write to a client that has closed:", err)
		}
	}
	conn = dial(t, d)
	if err := echo(conn, conn.CloseWrite, []byte("x")); err != nil {
		t.Error(err)
	}
}

// In TestPythonMoves a server shuts down while a stream is in use.
func TestPythonMoves(t *testing.T) {
	leak.Check(t)
	f, server := newFront(t)
	p := startPython(t, f.URL)
	old := await.From(t, "the client", f.dialers)
	conn := dial(t, old)
	fmt.Fprintln(conn, "echo")
	if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	refused := make(chan struct{}, 16)
	f.lead(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // it is sent back once
		select {
		case refused <- struct{}{}:
		default:
		}
		server.ServeHTTP(w, r)
	}))
	ended := make(chan error, 1)
	go func() { ended <- server.Shutdown(t.Context()) }()
	p.says(t, "asked to move")
	await.From(t, "an attempt", refused)
	dial(t, old).Close() // as long as there is no other
	f.deploy(t)
	next := await.From(t, "the client that has moved", f.dialers)
	await.From(t, "its leave", old.Draining())
	if _, err := old.Dial(); !errors.Is(err, transport.ErrDraining) {
		t.Errorf("dial after the move: %v", err)
	}
	if err := echo(conn, conn.CloseWrite, random(1<<20)); err != nil {
		t.Error("the stream that was in use:", err)
	}
	other := dial(t, next)
	if err := echo(other, other.CloseWrite, nil); err != nil {
		t.Error(err)
	}
	conn.Close()
	if err := await.From(t, "the end of the server", ended); err != nil {
		t.Error("shutdown:", err)
	}
	if got := transport.EndReasonOf(old.Err()); got != transport.EndMoved {
		t.Errorf("reason %q: %v", got, old.Err())
	}
	p.says(t, "ended: closed")
}

// In TestPythonStays a server asks a client to move, and meanwhile the client is sent away for
// good.
func TestPythonStays(t *testing.T) {
	leak.Check(t)
	f, _ := newFront(t)
	p := startPython(t, f.URL)
	d := await.From(t, "the client", f.dialers)
	f.deploy(t, transport.WithAuthorize(func(*http.Request) error { return transport.ErrForbidden }))
	began := time.Now()
	if err := d.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took >= 10*time.Second { // then it no longer waits
		t.Errorf("the client has not said within %v that it stays", took)
	}
	p.says(t, "refused 403", "for good")
	if got := transport.EndReasonOf(d.Err()); got != transport.EndShutdown {
		t.Errorf("reason %q: %v", got, d.Err())
	}
	p.says(t, "ended: closed", "word 'shutdown'")
	p.says(t, "gone")
}

// In TestPythonFindsNoOther the only server shuts down, and the client tells it that there is
// no other.
func TestPythonFindsNoOther(t *testing.T) {
	long.Only(t)
	leak.Check(t)
	f, server := newFront(t)
	p := startPython(t, f.URL)
	await.From(t, "the client", f.dialers)
	f.lead(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	began := time.Now()
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took >= 10*time.Second { // then it no longer waits
		t.Errorf("the server has waited for %v", took)
	}
	p.says(t, "ended: closed", "word 'shutdown'")
}

// TestPythonIsTold ends sessions of the client. It learns why, and comes back.
func TestPythonIsTold(t *testing.T) {
	leak.Check(t)
	f, _ := newFront(t)
	network := testnet.TCP(t, f.Listener.Addr().String(), 1)
	p := startPython(t, "http://"+network.Addr())
	d := await.From(t, "the client", f.dialers)
	conn := dial(t, d)
	fmt.Fprintln(conn, "echo")
	if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	d.CloseBecause(transport.EndKicked, "enough of you")
	p.says(t, "ended: closed", "reason 'enough of you'", "word 'kicked'")
	p.says(t, "stream failed: the session has ended")
	await.From(t, "the client again", f.dialers)
	p.says(t, "connected")
	network.Cut(faultnet.Finish)
	p.says(t, "ended: lost")
	d = await.From(t, "the client once more", f.dialers)
	if err := d.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestPythonIsRefused refuses the client for a while, and later for good.
func TestPythonIsRefused(t *testing.T) {
	leak.Check(t)
	var answers atomic.Int32
	f, _ := newFront(t, transport.WithAuthorize(func(*http.Request) error {
		switch answers.Add(1) {
		case 1:
			return errors.New("the database is away")
		case 2:
			return nil
		}
		return transport.ErrUnauthorized
	}))
	p := startPython(t, f.URL)
	p.says(t, "failed: refused 503")
	d := await.From(t, "the client", f.dialers)
	d.Close()
	p.says(t, "ended: closed")
	p.says(t, "refused 401 for good")
	p.says(t, "gone")
}

// In TestPythonLeaves the client says that it leaves, and finishes what it has begun.
func TestPythonLeaves(t *testing.T) {
	leak.Check(t)
	f, _ := newFront(t)
	p := startPython(t, f.URL)
	d := await.From(t, "the client", f.dialers)
	conn := dial(t, d)
	fmt.Fprintln(conn, "echo")
	if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	p.leave()
	await.From(t, "its leave", d.Draining())
	if err := echo(conn, conn.CloseWrite, random(1<<20)); err != nil {
		t.Error("the stream that was in use:", err)
	}
	conn.Close()
	await.From(t, "the end of the session", d.Done())
	if got := transport.EndReasonOf(d.Err()); got != transport.EndShutdown || !errors.Is(d.Err(), mux.ErrClosedByPeer) {
		t.Errorf("reason %q: %v", got, d.Err())
	}
	p.says(t, "gone")
}

// TestPythonIsKilled kills the client, which then cannot say goodbye.
func TestPythonIsKilled(t *testing.T) {
	leak.Check(t)
	f, _ := newFront(t)
	p := startPython(t, f.URL)
	d := await.From(t, "the client", f.dialers)
	p.cmd.Process.Kill()
	await.From(t, "the end of the session", d.Done())
	if got := transport.EndReasonOf(d.Err()); got != transport.EndLost {
		t.Errorf("reason %q: %v", got, d.Err())
	}
}

// In TestPythonMeetsYamux the client speaks with the library of yamux, and with a server that
// negotiates nothing.
func TestPythonMeetsYamux(t *testing.T) {
	leak.Check(t)
	sessions := make(chan *yamux.Session, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := new(websocket.Upgrader).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		config := yamux.DefaultConfig()
		config.LogOutput = io.Discard
		session, err := yamux.Client(&joined{Conn: c}, config)
		if err != nil {
			t.Error(err)
			return
		}
		sessions <- session
	}))
	defer srv.Close()
	p := startPython(t, srv.URL)
	session := await.From(t, "the client", sessions)
	defer session.Close()
	for range 3 {
		st, err := session.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		st.SetDeadline(time.Now().Add(patience))
		if err := echo(st, st.Close, random(1<<20)); err != nil { // which this library has for CloseWrite
			t.Error(err)
		}
	}
	if _, err := session.Ping(); err != nil {
		t.Error(err)
	}
	p.leave()
	await.From(t, "the client's leave", session.CloseChan())
}

// joined are the messages of a WebSocket as one sequence of bytes.
type joined struct {
	*websocket.Conn
	message io.Reader
}

func (c *joined) Read(p []byte) (int, error) {
	for {
		if c.message == nil {
			var err error
			if _, c.message, err = c.NextReader(); err != nil {
				return 0, err
			}
		}
		n, err := c.message.Read(p)
		if err == io.EOF {
			c.message = nil
		}
		if n > 0 {
			return n, nil
		}
	}
}

func (c *joined) Write(p []byte) (int, error) {
	return len(p), c.WriteMessage(websocket.BinaryMessage, p)
}
