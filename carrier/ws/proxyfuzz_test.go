package ws

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/backdial/backdial/redact"
)

// FuzzProxyAnswer makes a proxy answer anything, once or without end. Either the bytes
// that follow on the connection are the server's, or the error is fit to be shown.
func FuzzProxyAnswer(f *testing.F) {
	f.Fuzz(func(t *testing.T, answer []byte, endless bool) {
		const addr, password = "server.example:443", "TopSecret"
		proxy := &proxyConn{answer: answer, endless: endless}
		conn := &limitedConn{Conn: proxy, left: maxHandshake}
		err := requestTunnel(conn, addr, url.UserPassword("user", password))
		if proxy.said > maxHandshake {
			t.Errorf("%d bytes of an answer were read", proxy.said)
		}
		checkRequest(t, &proxy.heard, addr)
		if err != nil {
			text := redact.Error(err).Error()
			if len(text) > redact.MaxError+len("…") || strings.Contains(text, password) && !bytes.Contains(answer, []byte(password)) {
				t.Errorf("error %s", text)
			}
			return
		}
		head, _, _ := bytes.Cut(answer, []byte("\n"))
		if !bytes.HasPrefix(head, []byte("HTTP/")) || !bytes.Contains(head, []byte(" 2")) || proxy.said > len(answer) {
			t.Errorf("%q was taken for a tunnel", answer)
		}
		for _, end := range []string{"\n\n", "\n\r\n"} {
			if bytes.HasSuffix(answer, []byte(end)) {
				return
			}
		}
		t.Errorf("the tunnel has lost what is at the end of %q", answer)
	})
}

// checkRequest expects a request to a proxy for a tunnel to addr.
func checkRequest(t *testing.T, heard io.Reader, addr string) {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(heard))
	if err != nil || r.Method != http.MethodConnect || r.Host != addr || r.Header.Get("Proxy-Authorization") == "" {
		t.Errorf("the proxy hears %+v, %v", r, err)
	}
}

// A proxyConn is a connection to a proxy with a prepared answer.
type proxyConn struct {
	net.Conn // nil: not used
	answer   []byte
	endless  bool // it is repeated
	said     int
	heard    bytes.Buffer
}

func (c *proxyConn) Write(p []byte) (int, error) { return c.heard.Write(p) }

func (c *proxyConn) Read(p []byte) (int, error) {
	if len(c.answer) == 0 || c.said >= len(c.answer) && !c.endless {
		return 0, io.EOF
	}
	n := copy(p, c.answer[c.said%len(c.answer):])
	c.said += n
	return n, nil
}
