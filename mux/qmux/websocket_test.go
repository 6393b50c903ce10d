package qmux_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/qmux"
)

const patience = 20 * time.Second

// The first message of @moq/qmux 0.3.3.
const defaults = "ff5153300d0a0d0a 37 01048000 7530 0404 80100000 0504 80040000 0604 80040000 0704 80040000" +
	"080240 64 090240 64 20027ffe c571c59429cd0845 02 7ffe 1d00"

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A page is a foreign client: the test decides each message.
type page struct {
	t *testing.T
	*websocket.Conn
}

// visit makes a page the client of a server's session.
func visit(t *testing.T, config mux.Config) (mux.Session, *page) {
	t.Helper()
	m := qmux.New()
	sessions := make(chan mux.Session, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := ws.New().Upgrade(w, r, m.Protocol())
		if err != nil {
			t.Error("upgrade:", err)
			return
		}
		s, err := m.DialSide(conn, config)
		if err != nil {
			t.Error("dial side:", err)
		}
		sessions <- s
	}))
	t.Cleanup(server.Close)
	dialer := websocket.Dialer{Subprotocols: []string{"qmux-02.backdial.1", "qmux-02", "webtransport"}}
	conn, _, err := dialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if got := conn.Subprotocol(); got != "qmux-02.backdial.1" {
		t.Fatalf("subprotocol %q", got)
	}
	conn.SetReadDeadline(time.Now().Add(patience))
	s := <-sessions
	t.Cleanup(func() { s.Close() })
	return s, &page{t, conn}
}

func (p *page) say(message string) {
	p.t.Helper()
	if err := p.WriteMessage(websocket.BinaryMessage, unhex(p.t, message)); err != nil {
		p.t.Fatal(err)
	}
}

// hear expects a message that begins with frames. Pings may be anywhere before.
func (p *page) hear(frames string) {
	p.t.Helper()
	ping, want := unhex(p.t, "f48c67529ef8c7bd"), unhex(p.t, frames)
	for {
		kind, message, err := p.ReadMessage()
		for bytes.HasPrefix(message, ping) {
			message = message[len(ping)+1:]
		}
		if len(message) == 0 && err == nil {
			continue
		}
		if kind != websocket.BinaryMessage || !bytes.HasPrefix(message, want) || err != nil {
			p.t.Errorf("message % x of kind %d, %v, want % x", message, kind, err, want)
		}
		return
	}
}

// TestWebSocket makes a server dial a page: messages are records, and have no Size.
func TestWebSocket(t *testing.T) {
	leak.Check(t)
	s, page := visit(t, mux.Config{})
	page.hear("ff5153300d0a0d0a") // before the page has said anything
	page.say(defaults)
	st, err := s.Open(t.Context())
	if err != nil {
		t.Fatal("open:", err)
	}
	page.hear("0a0100") // stream 1, although nothing was written
	if _, err := st.Write([]byte("hi")); err != nil {
		t.Fatal("write:", err)
	}
	page.hear("0a0102 6869")
	page.say("")                   // no frames
	page.say("08 01 68656c6c6f20") // up to the end of the message
	writer, err := page.NextWriter(websocket.BinaryMessage)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range unhex(t, "0e0106 05 776f726c64 f48c67529ef8c7bd00") { // of several frames of WebSocket
		writer.Write([]byte{b})
	}
	writer.Close()
	got := make([]byte, len("hello world"))
	if _, err := io.ReadFull(st, got); string(got) != "hello world" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	page.hear("f48c67529ef8c7be00")
	page.say("05 01 21") // STOP_SENDING 33
	page.hear("04 01 21 02")
	if _, err := st.Write([]byte("x")); !errors.Is(err, mux.ErrReset) {
		t.Errorf("write: error %v, want mux.ErrReset", err)
	}
	page.say("0f010b00") // FIN
	if n, err := st.Read(got); n != 0 || err != io.EOF {
		t.Errorf("read %d, %v, want io.EOF", n, err)
	}

	page.say("0e 00 00 02 6869") // a stream of the page's
	st, err = s.Accept(t.Context())
	if err != nil {
		t.Fatal("accept:", err)
	}
	page.say("04 00 1a 02") // RESET_STREAM 26
	if _, err := io.ReadAll(st); err == nil {
		t.Error("a stream that was reset has an end")
	} else if e, ok := errors.AsType[*mux.ResetError](err); !ok || e.Code != 26 {
		t.Errorf("read: error %v, want code 26", err)
	}
	st.(mux.CodeResetter).ResetWithCode(44)
	page.hear("04 00 2c 00")

	page.say("1d 4063 03 627965")
	page.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(patience))
	if _, _, err := page.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Errorf("the end is %v, want status 1000", err)
	}
	<-s.Context().Done()
	err = context.Cause(s.Context())
	if e, ok := errors.AsType[*qmux.ConnectionError](err); !errors.Is(err, mux.ErrClosedByPeer) || !ok || e.Code != 99 || e.Reason != "bye" {
		t.Errorf("cause %v, want mux.ErrClosedByPeer, 99 and bye", err)
	}
}

// TestWebSocketClose closes the server: the page, and its socket, must see that.
func TestWebSocketClose(t *testing.T) {
	leak.Check(t)
	s, page := visit(t, mux.Config{})
	page.hear("ff5153300d0a0d0a")
	page.say(defaults)
	closing := make(chan error, 1)
	go func() { closing <- s.Close() }()
	page.hear("1d 00 00")
	if _, _, err := page.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Errorf("the end is %v, want status 1000", err)
	}
	page.Close()
	<-closing
}

// TestWebSocketViolations uses pages that break the protocol.
func TestWebSocketViolations(t *testing.T) {
	for _, test := range []struct {
		name string
		say  func(*page)
		hear string // or ""
	}{
		{"text", func(p *page) { p.WriteMessage(websocket.TextMessage, []byte("hello")) }, ""},
		{"Size", func(p *page) { p.say("0b ff5153300d0a0d0a 00") }, "1c 0a"},
		{"gap", func(p *page) { p.say(defaults); p.say("0e 00 01 01 78") }, "1c 0a"},
		{"cut", func(p *page) { p.say(defaults); p.say("0a 00 02 78") }, "1c 07"},
		{"too large", func(p *page) {
			p.say(defaults)
			p.WriteMessage(websocket.BinaryMessage, append(unhex(t, "08 00"), make([]byte, 1<<20)...))
		}, "1c 07"},
	} {
		t.Run(test.name, func(t *testing.T) {
			leak.Check(t)
			s, page := visit(t, mux.Config{})
			page.hear("ff5153300d0a0d0a")
			test.say(page)
			if test.hear != "" {
				page.hear(test.hear)
			}
			for err := error(nil); err == nil; {
				_, _, err = page.ReadMessage()
			}
			page.Close()
			<-s.Context().Done()
			if err := context.Cause(s.Context()); errors.Is(err, mux.ErrClosedByPeer) || (test.hear != "") != errors.Is(err, mux.ErrProtocol) {
				t.Errorf("cause %v", err)
			}
		})
	}
}

// TestMessageDropByDrop uses a peer that takes forever to send a message.
func TestMessageDropByDrop(t *testing.T) {
	leak.Check(t)
	s, page := visit(t, mux.Config{KeepAlive: 200 * time.Millisecond})
	page.say(defaults)
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		io.Copy(io.Discard, page.NetConn()) // ends with the session
	}()
	// A frame of 60,000 bytes, masked with 0, that begins with one of STREAM, of 50,000.
	begin := unhex(t, "82 fe ea60 00000000  0e 00 00 8000c350")
	for next := begin; s.Context().Err() == nil; next = []byte{0} {
		page.NetConn().Write(next)
		<-time.After(time.Millisecond)
	}
	if err := context.Cause(s.Context()); !errors.Is(err, mux.ErrProtocol) {
		t.Errorf("cause %v, want mux.ErrProtocol", err)
	}
	<-heard
}
