package ws_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/suite"
)

// hostname is a name that the proxies of these tests resolve to loopback, and
// nothing else resolves.
const hostname = "device.example"

// fixed returns a function that chooses the proxy at rawURL, or none.
func fixed(rawURL string) func(*http.Request) (*url.URL, error) {
	return func(*http.Request) (*url.URL, error) {
		if rawURL == "" {
			return nil, nil
		}
		return url.Parse(rawURL)
	}
}

// dialAsProxy connects to the server that addr, a host name and a port, means.
func dialAsProxy(addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host != hostname {
		return nil, errors.New("no such host")
	}
	return net.Dial("tcp", "127.0.0.1:"+port)
}

// splice copies between a and b until one of them ends.
func splice(a, b net.Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(a, b)
		a.Close()
	}()
	io.Copy(b, a)
	b.Close()
	<-done
}

// httpProxy answers CONNECT from the user me, whose password is secret.
func httpProxy(client net.Conn) {
	r, err := http.ReadRequest(bufio.NewReader(client))
	if err != nil || r.Method != http.MethodConnect || r.Header.Get("Proxy-Authorization") != "Basic bWU6c2VjcmV0" {
		io.WriteString(client, "HTTP/1.1 407 Who Are You\r\nContent-Length: 0\r\n\r\n")
		return
	}
	server, err := dialAsProxy(r.RequestURI)
	if err != nil {
		io.WriteString(client, "HTTP/1.1 502\r\n\r\n")
		return
	}
	io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	splice(client, server)
}

// socksProxy speaks SOCKS5, RFC 1928, for clients that have no password and connect to a
// host name.
func socksProxy(client net.Conn) {
	const hello, request = 3, 5
	head := make([]byte, hello+request)
	if _, err := io.ReadFull(client, head[:hello]); err != nil {
		return
	}
	client.Write([]byte{5, 0})
	if _, err := io.ReadFull(client, head[hello:]); err != nil {
		return
	}
	const byName = 3
	if head[hello+3] != byName {
		return
	}
	name := make([]byte, int(head[hello+4])+2)
	if _, err := io.ReadFull(client, name); err != nil {
		return
	}
	host, port := string(name[:len(name)-2]), binary.BigEndian.Uint16(name[len(name)-2:])
	server, err := dialAsProxy(net.JoinHostPort(host, (&net.TCPAddr{Port: int(port)}).String()[1:]))
	if err != nil {
		client.Write([]byte{5, 4, 0, 1, 0, 0, 0, 0, 0, 0})
		return
	}
	client.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	splice(client, server)
}

func TestProxy(t *testing.T) {
	for _, test := range []struct {
		name, url string
		proxy     func(net.Conn)
	}{
		{"CONNECT", "http://me:secret@", httpProxy},
		{"SOCKS5", "socks5://", socksProxy},
		{"SOCKS5H", "socks5h://", socksProxy},
	} {
		t.Run(test.name, func(t *testing.T) {
			leak.Check(t)
			c := ws.New(ws.WithProxy(fixed(test.url + serveRaw(t, test.proxy))))
			conn, err := dial(t, c, "ws://"+named(t, serveEcho(t)), nil)
			if err != nil {
				t.Fatal(err)
			}
			checkEcho(t, conn)
			conn.Close()
		})
	}
}

// named returns addr with the host name that only proxies resolve.
func named(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(hostname, port)
}

func TestProxyFails(t *testing.T) {
	for _, test := range []struct {
		name  string
		proxy func(*testing.T) string // returns an address
		url   string
		want  string
	}{{
		"Refuses", raw(httpProxy), "http://me:wrong@ADDR",
		`proxy http://xxxxx@ADDR: answered 407 Proxy Authentication Required to CONNECT`,
	}, {
		"DoesNotKnowHost", raw(httpProxy), "http://me:secret@ADDR",
		`proxy http://xxxxx@ADDR: answered 502 Bad Gateway to CONNECT`,
	}, {
		"SpeaksFirst", raw(answering("HTTP/1.1 200 OK\r\n\r\nhello")), "http://ADDR",
		`proxy http://ADDR: sent data before the server could`,
	}, {
		"NotHTTP", raw(answering("SSH-2.0-OpenSSH_9.9\r\n")), "http://ADDR",
		`proxy http://ADDR: malformed HTTP response "SSH-2.0-OpenSSH_9.9"`,
	}, {
		"UnknownCertificate", func(t *testing.T) string { return serveTLS(t, http.NotFound) }, "https://ADDR",
		`proxy https://ADDR: tls: failed to verify certificate: x509: certificate signed by unknown authority`,
	}, {
		"SOCKSDoesNotKnowHost", raw(socksProxy), "socks5://ADDR",
		`proxy socks5://ADDR: socks connect tcp ADDR->other.example:80: unknown error host unreachable`,
	}, {
		"Unreachable", closedAddr, "http://ADDR",
		`proxy http://ADDR: dial tcp ADDR: connect: connection refused`,
	}, {
		"Scheme", nowhere, "ftp://proxy",
		`proxy ftp://proxy: unsupported scheme "ftp", want http, https or socks5`,
	}} {
		t.Run(test.name, func(t *testing.T) {
			leak.Check(t)
			addr := test.proxy(t)
			c := ws.New(ws.WithProxy(fixed(strings.ReplaceAll(test.url, "ADDR", addr))))
			_, err := dial(t, c, "ws://other.example/", nil)
			want := `ws: dial ws://other.example/: ` + strings.ReplaceAll(test.want, "ADDR", addr)
			if err == nil || err.Error() != want {
				t.Errorf("Dial returned\n%v, want\n%v", err, want)
			}
			if _, ok := errors.AsType[*carrier.RejectedError](err); ok {
				t.Error("what the proxy answered is taken for the server's answer")
			}
		})
	}
}

// serverEnv is the URL of the server for TestProxyFromEnvironment in its own process,
// which it needs because net/http reads the environment only once.
const serverEnv = "BACKDIAL_WS_SERVER"

func TestProxyFromEnvironment(t *testing.T) {
	leak.Check(t)
	if server := os.Getenv(serverEnv); server != "" {
		conn, err := dial(t, ws.New(), server, nil)
		if err != nil {
			t.Fatal(err)
		}
		checkEcho(t, conn)
		return
	}
	passed, out := suite.Rerun(t,
		serverEnv+"=ws://"+named(t, serveEcho(t)),
		"HTTP_PROXY=http://me:secret@"+serveRaw(t, httpProxy),
		"NO_PROXY=", "no_proxy=")
	if !passed {
		t.Errorf("the proxy in the environment is not used:\n%s", out)
	}
}
