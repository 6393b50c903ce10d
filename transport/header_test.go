package transport_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/transport"
)

// upgradeRequest asks for a WebSocket, of a path and with fields.
const upgradeRequest = "GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n"

// knock asks a server for a WebSocket, and returns the connection and the status.
func knock(t *testing.T, addr, path, fields string) (net.Conn, int) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := fmt.Fprintf(c, upgradeRequest, path, fields); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, answer.StatusCode
}

// manyFields returns n fields of the smallest size.
func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%x:\r\n", i)
	}
	return b.String()
}

// In TestHeaderTooLarge a server refuses a header that its Dialer would have to keep, although
// the http.Server around it has accepted the header.
func TestHeaderTooLarge(t *testing.T) {
	leak.Check(t)
	told := make(chan error, 1)
	server := serverFunc(t, nil, transport.WithTrace(transport.Trace{
		HandshakeFailed: func(_ *http.Request, err error) { told <- err },
	}))
	srv := httptest.NewServer(server)
	defer srv.Close()
	for _, test := range []struct {
		name, path, fields string
		status             int
	}{
		{"as many fields as may be", "/", manyFields(100 - 4), 101},
		{"one more", "/", manyFields(100 - 3), 431},
		{"thousands", "/", manyFields(15000), 431},
		{"thousands of one name", "/", strings.Repeat("a:\r\n", 15000), 431},
		{"a large one", "/", "A: " + strings.Repeat("x", 15<<10) + "\r\n", 101},
		{"too large a one", "/", "A: " + strings.Repeat("x", 16<<10) + "\r\n", 431},
		{"a long path", "/" + strings.Repeat("x", 16<<10), "", 431},
		{"a long query", "/?" + strings.Repeat("x", 16<<10), "", 431},
	} {
		c, status := knock(t, srv.Listener.Addr().String(), test.path, test.fields)
		c.Close()
		if status != test.status {
			t.Errorf("%s: status %d, want %d", test.name, status, test.status)
		}
		if status == 101 {
			continue
		}
		if err := await.From(t, "HandshakeFailed", told); !rejectedWith(test.status)(err) {
			t.Errorf("%s: the trace is told %v, want status %d", test.name, err, test.status)
		}
	}
}

// TestHeaderMemory expects a Dialer to keep at most 64 KiB of a request in memory.
func TestHeaderMemory(t *testing.T) {
	leak.Check(t)
	const clients = 50
	dialers := make(chan *transport.Dialer, clients)
	srv := httptest.NewServer(serverFunc(t, func(d *transport.Dialer) { dialers <- d }))
	defer srv.Close()
	// cost is how much of the heap a client takes with such a request.
	cost := func(path, fields string) int64 {
		var conns []io.Closer
		heap() // pools let go of what they have with the second
		before := heap()
		for range clients {
			c, status := knock(t, srv.Listener.Addr().String(), path, fields)
			if status != http.StatusSwitchingProtocols {
				t.Fatalf("status %d for a header that may be", status)
			}
			conns = append(conns, c)
		}
		var kept []*transport.Dialer
		for range clients {
			kept = append(kept, await.From(t, "Dialer", dialers))
		}
		heap()
		each := (heap() - before) / clients
		for _, c := range conns {
			c.Close()
		}
		for _, d := range kept {
			await.From(t, "the end of a session", d.Done())
		}
		return each
	}
	bare := cost("/", "")
	for name, request := range map[string][2]string{
		"fields":        {"/", manyFields(96)},
		"large fields":  {"/", strings.Repeat("A: "+strings.Repeat("x", 160)+"\r\n", 96)},
		"large names":   {"/", strings.ReplaceAll(manyFields(96), ":", strings.Repeat("x", 160)+":")},
		"escaped path":  {"/" + strings.Repeat("%41", 4000), ""},
		"one large one": {"/", "A: " + strings.Repeat("x", 16000) + "\r\n"},
	} {
		if each := cost(request[0], request[1]) - bare; each > 64<<10 {
			t.Errorf("%s: %d bytes, want 64 KiB at most", name, each)
		} else {
			t.Logf("%s: %d bytes", name, each)
		}
	}
}

// In TestHalfHeaders unknown clients send endless headers to a server that listens by itself:
// as much as it reads, and more.
func TestHalfHeaders(t *testing.T) {
	leak.Check(t)
	server := serverFunc(t, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	for _, fields := range []int{2600, 9000} {
		const strangers, most = 50, 384 << 10
		request := "GET / HTTP/1.1\r\n" + manyFields(fields)
		before := heap()
		for range strangers {
			c, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			io.WriteString(c, request)
		}
		visit(t, "http://"+ln.Addr().String()) // who still gets in
		each := (heap() - before) / strangers
		t.Logf("%d bytes for a header of %d", each, len(request))
		if each > most {
			t.Errorf("%d bytes for a header of %d that does not end, want %d at most", each, len(request), most)
		}
	}
	server.Close()
	await.From(t, "end of Serve", served)
}
