package ws

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http/httpguts"
)

// FuzzUpgrade lets a client offer any protocols from any page, to a server with anything
// in the header of its answers. The client must get one protocol that it has offered or
// none, no page of another host may connect, and nothing may be smuggled into the answer.
func FuzzUpgrade(f *testing.F) {
	f.Fuzz(func(t *testing.T, host, origin, offers, protocol, name, value string) {
		for _, v := range []string{host, origin, offers} {
			if !httpguts.ValidHeaderFieldValue(v) {
				t.Skip("no HTTP server lets it through")
			}
		}
		if strings.Contains(value, "\x7f") {
			t.Skip("net/http would send it too, and clients refuse it")
		}
		r := opening(host, origin, offers)
		offered, ok := New().Offer(r)
		if !ok {
			t.Fatal("Offer does not know a request for a WebSocket")
		}
		for _, p := range append(offered, protocol, "") {
			w := &hijackable{ResponseRecorder: httptest.NewRecorder()}
			w.Header()[name] = []string{value}
			conn, err := New().Upgrade(w, r, p)
			if w.Code == http.StatusForbidden || err == nil {
				checkOrigin(t, origin, host, err == nil)
			}
			switch {
			case w.Code == http.StatusForbidden:
				checkRefused(t, w, err, http.StatusForbidden)
			case p != "" && !slices.Contains(offered, p):
				checkRefused(t, w, err, http.StatusInternalServerError)
			case err != nil:
				t.Errorf("Upgrade to %q: %v", p, err)
			default:
				if got := conn.Protocol(); got != p {
					t.Errorf("protocol %q, want %q", got, p)
				}
				checkAnswer(t, w.conn.written.Bytes(), p, http.CanonicalHeaderKey(name))
			}
		}
	})
}

// opening is a request that opens a WebSocket, from a page of origin unless that is
// "".
func opening(host, origin, offers string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://server.example/", nil)
	r.Host = host
	r.Header = http.Header{
		"Connection":            {"Upgrade"},
		"Upgrade":               {"websocket"},
		"Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key":     {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	if offers != "" {
		r.Header.Set("Sec-WebSocket-Protocol", offers)
	}
	return r
}

// anyOrigin is the header with which a browser says which page connects, and plainHost an
// unambiguous host.
var (
	anyOrigin = regexp.MustCompile(`^[a-z]+://([^/?#@%\\]+)$`)
	plainHost = regexp.MustCompile(`^[a-zA-Z0-9.-]+(:[0-9]{1,4})?$`)
)

// checkOrigin expects a page to be able to connect only if it is from the host.
func checkOrigin(t *testing.T, origin, host string, allowed bool) {
	t.Helper()
	from := anyOrigin.FindStringSubmatch(origin)
	same := from != nil && strings.EqualFold(from[1], host)
	if !allowed && (origin == "" || same && plainHost.MatchString(host)) {
		t.Errorf("a page of %q may not connect to %q", origin, host)
	}
	if allowed && origin != "" && (from != nil && !same || host == "") {
		t.Errorf("a page of %q may connect to %q", origin, host)
	}
}

func checkRefused(t *testing.T, w *hijackable, err error, status int) {
	t.Helper()
	if err == nil || w.Code != status || w.conn != nil {
		t.Errorf("answered with status %d, %v, want %d", w.Code, err, status)
		return
	}
	if len(err.Error()) > 100+200*len(`\U0010ffff`) {
		t.Errorf("error of %d bytes", len(err.Error()))
	}
}

// checkAnswer expects an answer that opens a WebSocket with a protocol, unless that is
// "", and has no other header than name.
func checkAnswer(t *testing.T, written []byte, protocol, name string) {
	t.Helper()
	rest := bufio.NewReader(bytes.NewReader(written))
	answer, err := http.ReadResponse(rest, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols || rest.Buffered() > 0 {
		t.Fatalf("answer %q: %v", written, err)
	}
	want := http.Header{
		"Upgrade":              {"websocket"},
		"Connection":           {"Upgrade"},
		"Sec-Websocket-Accept": {"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
	}
	if protocol != "" {
		want["Sec-Websocket-Protocol"] = []string{protocol}
	}
	for key, values := range answer.Header {
		if w, ok := want[key]; ok && !slices.Equal(values, w) || !ok && key != name {
			t.Errorf("answer with %s %q", key, values)
		}
		delete(want, key)
	}
	if len(want) > 0 {
		t.Errorf("answer without %v", want)
	}
}

// A hijackable is the ResponseWriter of a connection that can be taken over.
type hijackable struct {
	*httptest.ResponseRecorder
	conn *deafConn // nil until then
}

func (w *hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.conn = new(deafConn)
	return w.conn, bufio.NewReadWriter(bufio.NewReader(w.conn), bufio.NewWriter(w.conn)), nil
}

// A deafConn keeps what is written to it. Its peer sends nothing.
type deafConn struct {
	net.Conn // nil: not used
	written  bytes.Buffer
}

func (c *deafConn) Write(p []byte) (int, error) { return c.written.Write(p) }
func (*deafConn) Read([]byte) (int, error)      { return 0, io.EOF }
func (*deafConn) SetDeadline(time.Time) error   { return nil }
func (*deafConn) SetWriteDeadline(time.Time) error {
	return nil
}
func (*deafConn) Close() error { return nil }
