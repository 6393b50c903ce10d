package ws

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// A pieceConn returns its content in pieces of a given size.
type pieceConn struct {
	net.Conn // nil: not used
	rest     string
	size     int
}

func (c *pieceConn) Read(p []byte) (int, error) {
	if c.rest == "" {
		return 0, io.EOF
	}
	n := copy(p, c.rest[:min(c.size, len(c.rest))])
	c.rest = c.rest[n:]
	return n, nil
}

// TestHeadConn splits answers and what follows in all ways.
func TestHeadConn(t *testing.T) {
	const frames = "\x82\x03abc\n\r\n\n\r\n\r\n\x82\x00"
	for _, header := range []string{
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
		"HTTP/1.1 101\nUpgrade: websocket\n\n",
		"HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\n\r\n",
		"HTTP/1.1 101 Mixed\r\nA: b\n c\r\n\td\r\n \r\nE:\r\n\n",
		"HTTP/1.1 101 Long\r\nA: " + strings.Repeat("b", 5000) + "\r\n\r\n",
	} {
		for size := 1; size <= len(header)+len(frames); size++ {
			conn := &headConn{Conn: &pieceConn{rest: header + frames, size: size}}
			r := bufio.NewReader(conn)
			answer, err := http.ReadResponse(r, nil)
			if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("%q in pieces of %d: %v, %v", header, size, answer, err)
			}
			if n := r.Buffered(); n > 0 {
				t.Fatalf("%q in pieces of %d: %d bytes too many", header, size, n)
			}
			if rest, err := io.ReadAll(io.MultiReader(strings.NewReader(string(conn.rest)), conn.Conn)); string(rest) != frames {
				t.Fatalf("%q in pieces of %d: followed by %q, %v", header, size, rest, err)
			}
		}
	}
}

// TestHeadConnBody uses an answer with a body, which is read.
func TestHeadConnBody(t *testing.T) {
	const body = "not\n\nfound\r\n\r\n"
	answer := "HTTP/1.1 404 Not Found\r\nContent-Length: 14\r\n\r\n" + body
	for size := 1; size <= len(answer); size++ {
		r, err := http.ReadResponse(bufio.NewReader(&headConn{Conn: &pieceConn{rest: answer, size: size}}), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r.Body); string(got) != body || err != nil {
			t.Fatalf("in pieces of %d: body %q, %v", size, got, err)
		}
	}
}
