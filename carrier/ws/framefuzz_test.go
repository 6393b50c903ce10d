package ws_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/ws"
)

// A script is a connection whose peer sends a prepared input, a chunk at a time, and
// hangs up.
type script struct {
	net.Conn // nil: not used
	rest     []byte
	chunk    int

	mu      sync.Mutex
	written bytes.Buffer
}

func newScript(says []byte, chunk int) *script { return &script{rest: says, chunk: 1 + chunk} }

func (s *script) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.rest[:min(s.chunk, len(s.rest))])
	s.rest = s.rest[n:]
	return n, nil
}

func (s *script) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written.Write(p)
}

func (*script) Close() error                     { return nil }
func (*script) SetDeadline(time.Time) error      { return nil }
func (*script) SetWriteDeadline(time.Time) error { return nil }

// gorillaOn performs gorilla/websocket's handshake with a script, whose peer then sends
// its input.
func gorillaOn(t *testing.T, s *script, isClient bool) *websocket.Conn {
	t.Helper()
	says := s.rest
	if !isClient {
		var u websocket.Upgrader
		conn, err := u.Upgrade(hijacked{httptest.NewRecorder(), s}, opening(nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	s.rest = nil
	d := websocket.Dialer{NetDialContext: func(context.Context, string, string) (net.Conn, error) {
		return greeter{s, says}, nil
	}}
	conn, _, err := d.Dial("ws://server.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// A hijacked is the ResponseWriter of a connection that can be taken over.
type hijacked struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

// A greeter is a script that answers a handshake first.
type greeter struct {
	*script
	says []byte
}

func (a greeter) Write(p []byte) (int, error) {
	if r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(p))); err == nil {
		a.rest = slices.Concat([]byte(answerToKey(r.Header.Get("Sec-WebSocket-Key"), "")), a.says)
		return len(p), nil
	}
	return a.script.Write(p)
}

// A reading is the result of reading what a peer sends.
type reading struct {
	messages []string
	pings    []string
	end      string // a word, and what the peer's close frame says
	err      error
}

// read reads messages with this package's framing.
func read(conn carrier.MessageConn, limit int) (r reading) {
	for {
		size, err := conn.NextMessage(limit)
		var message []byte
		if err == nil {
			message, err = io.ReadAll(conn)
		} else if err == io.EOF {
			r.end = "goodbye"
			return r
		}
		if err == nil && len(message) != size {
			err = fmt.Errorf("a message of %d bytes has %d", size, len(message))
		}
		if err != nil {
			r.end, r.err = endOf(err), err
			return r
		}
		r.messages = append(r.messages, string(message))
	}
}

// readBytes reads bytes with this package's framing.
func readBytes(conn carrier.MessageConn, size int) (all []byte, end string) {
	for p := make([]byte, size); ; {
		n, err := conn.Read(p)
		all = append(all, p[:n]...)
		if err == io.EOF {
			return all, "goodbye"
		}
		if err != nil {
			return all, endOf(err)
		}
	}
}

func endOf(err error) string {
	_, closed, isClosed := strings.Cut(err.Error(), "peer closed with status ")
	switch {
	case isClosed:
		return "closed " + closed
	case errors.Is(err, carrier.ErrMessageSize):
		return "too large"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "cut"
	case strings.Contains(err.Error(), "text message"):
		return "text"
	case strings.Contains(err.Error(), "protocol violation: "):
		return "violation"
	}
	return err.Error()
}

// readGorilla reads messages with gorilla's framing.
func readGorilla(conn *websocket.Conn, limit int) (r reading) {
	conn.SetReadLimit(int64(limit))
	conn.SetPingHandler(func(s string) error { r.pings = append(r.pings, s); return nil })
	conn.SetCloseHandler(func(int, string) error { return nil })
	for {
		kind, message, err := conn.NextReader()
		between := err != nil
		if kind == websocket.TextMessage {
			r.end = "text"
			return r
		}
		var b []byte
		if err == nil {
			b, err = io.ReadAll(message)
		}
		if err != nil {
			r.end, r.err = endOfGorilla(err, between), err
			return r
		}
		r.messages = append(r.messages, string(b))
	}
}

func endOfGorilla(err error, between bool) string {
	closed, isClosed := errors.AsType[*websocket.CloseError](err)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), isClosed && closed.Code == websocket.CloseAbnormalClosure:
		return "cut"
	case isClosed && between && (closed.Code == websocket.CloseNormalClosure || closed.Code == websocket.CloseGoingAway):
		return "goodbye"
	case isClosed:
		return fmt.Sprintf("closed %d %q", closed.Code, closed.Text)
	case errors.Is(err, websocket.ErrReadLimit):
		return "too large"
	}
	return "violation"
}

// isStricter reports whether this package's framing has ended because of something that
// gorilla's lets pass, or takes for something else.
func isStricter(own, gorilla reading) bool {
	if own.end == "cut" && gorilla.end == "too large" {
		return true // a length of 2^63 bytes or more, which gorilla sees before the mask key
	}
	for _, reason := range []string{
		"takes more bytes than it needs",   // gorilla takes any length
		"a length of 2^63 bytes or more",   // which to gorilla is too large
		"a close frame with half a status", // which gorilla takes for none
		"peer sent a text message",         // which to gorilla is too large first
		"peer closed with status 1014 ",    // which is younger than gorilla's list
	} {
		if own.err != nil && strings.Contains(own.err.Error(), reason) {
			return true
		}
	}
	return false
}

// FuzzFrames lets a peer send anything. Messages and the end must be those of
// gorilla/websocket, and every answer a pong or a close frame.
func FuzzFrames(f *testing.F) {
	for _, c := range autobahnCases() {
		for _, isClient := range []bool{false, true} {
			if says := slices.Concat(c.send(&peer{masks: !isClient})...); len(says) < 2000 {
				f.Add(says, isClient, uint8(len(says)), uint16(1000))
			}
		}
	}
	f.Fuzz(func(t *testing.T, says []byte, isClient bool, chunk uint8, most uint16) {
		limit := 1 + int(most)
		want := readGorilla(gorillaOn(t, newScript(says, int(chunk)), isClient), limit)
		s := newScript(says, int(chunk))
		own := ws.NewConn(s, isClient)
		got := read(own, limit)
		stricter := isStricter(got, want)
		if stricter && len(got.messages) <= len(want.messages) {
			want.messages = want.messages[:len(got.messages)]
		} else if got.end != want.end {
			t.Errorf("reading ends with %s (%v), want %s (%v)", got.end, got.err, want.end, want.err)
		}
		if !slices.Equal(got.messages, want.messages) {
			t.Errorf("messages %q, want %q", got.messages, want.messages)
		}

		all, end := readBytes(ws.NewConn(newScript(says, int(chunk)), isClient), limit)
		if whole := strings.Join(got.messages, ""); !strings.HasPrefix(string(all), whole) {
			t.Errorf("read %q, want %q", all, whole)
		}
		if end != got.end && got.end != "too large" {
			t.Errorf("reading bytes ends with %s, want %s", end, got.end)
		}

		own.(carrier.CloseWriter).CloseWrite()
		pongs, code := answersOf(t, s, isClient)
		if !stricter {
			checkPongs(t, pongs, want.pings)
		}
		if want := codeFor(got); code != want && !(code == badText && got.end == "violation") {
			t.Errorf("after %s (%v): a close frame with status %d, want %d", got.end, got.err, code, want)
		}
	})
}

// codeFor is the status of the close frame that follows a reading.
func codeFor(r reading) (code int) {
	switch r.end {
	case "violation":
		return broken
	case "text":
		return noText
	case "too large":
		return 1009
	}
	if n, _ := fmt.Sscanf(r.end, "closed %d", &code); n == 1 && code != 1000 && code != 1001 {
		return code
	}
	return normal
}

// answersOf returns the pongs that were written to s, and the status of the close frame
// after them. There must be nothing else.
func answersOf(t *testing.T, s *script, isClient bool) (pongs []string, code int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	r := bufio.NewReader(bytes.NewReader(s.written.Bytes()))
	messages, pongs, code, err := hear(&peer{r: r, masks: !isClient})
	if len(messages) > 0 || err != nil || r.Buffered() > 0 {
		t.Errorf("written: %q, %v", s.written.Bytes(), err)
	}
	return pongs, code
}

// FuzzRoundTrip writes any messages. This package and gorilla/websocket read them.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("hello"), []byte{5}, false, uint8(0))
	f.Add([]byte("hello"), []byte{0, 1, 2, 125, 126, 127, 128, 255}, true, uint8(255))
	f.Add(noise(1, 100), []byte{249, 249, 1, 249, 0, 249}, true, uint8(100))
	f.Add(noise(1, 100), []byte{249, 249, 1, 249, 0, 249}, false, uint8(100))
	f.Fuzz(func(t *testing.T, data, sizes []byte, isClient bool, chunk uint8) {
		if len(data) == 0 || len(sizes) > 20 {
			t.Skip("nothing to say, or too much")
		}
		var messages [][]byte
		want := []string(nil)
		for _, b := range sizes {
			size := int(b) << (b % 10) // up to 128 KB
			m := bytes.Repeat(data, size/len(data)+1)[:size]
			messages = append(messages, m)
			if size > 0 {
				want = append(want, string(m))
			}
		}
		s := newScript(nil, 0)
		own := ws.NewConn(s, isClient)
		half := len(messages) / 2
		for _, several := range [][][]byte{messages[:half], messages[half:]} {
			if err := own.WriteMessages(several...); err != nil {
				t.Fatal(err)
			}
		}
		if err := own.(carrier.CloseWriter).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		const limit = 1 << 18
		wire, step := s.written.Bytes(), int(chunk)<<8
		for reader, got := range map[string]reading{
			"this package": read(ws.NewConn(newScript(wire, step), !isClient), limit),
			"gorilla":      readGorilla(gorillaOn(t, newScript(wire, step), !isClient), limit),
		} {
			if !slices.Equal(got.messages, want) || got.end != "goodbye" {
				t.Errorf("%s reads %d messages and %s (%v), want %d", reader, len(got.messages), got.end, got.err, len(want))
			}
		}
	})
}
