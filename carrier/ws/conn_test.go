package ws_test

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/await"
)

// accept answers a client's handshake, with more header lines, and leaves the frames to
// the test.
func accept(conn net.Conn, header string) {
	io.WriteString(conn, answerTo(conn, header))
}

// answerTo reads a client's handshake and returns the answer to it.
func answerTo(conn net.Conn, header string) string {
	r, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return ""
	}
	return answerToKey(r.Header.Get("Sec-WebSocket-Key"), header)
}

func answerToKey(key, header string) string {
	// https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
	hash := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return fmt.Sprintf("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: %s\r\n%s\r\n", base64.StdEncoding.EncodeToString(hash[:]), header)
}

// meet connects a foreign client to a connection of this package.
func meet(t *testing.T, options ...ws.Option) (foreign *websocket.Conn, own carrier.Conn) {
	t.Helper()
	return meetDialer(t, *websocket.DefaultDialer, options...)
}

func meetDialer(t *testing.T, dialer websocket.Dialer, options ...ws.Option) (foreign *websocket.Conn, own carrier.Conn) {
	t.Helper()
	accepted := make(chan carrier.Conn, 1)
	addr := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		conn, err := ws.New(options...).Upgrade(w, r, "")
		if err != nil {
			t.Errorf("Upgrade: %v", err)
		}
		accepted <- conn
	})
	foreign, _, err := dialer.DialContext(t.Context(), "ws://"+addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { foreign.Close() })
	own = await.From(t, "Upgrade", accepted)
	t.Cleanup(func() { own.Close() })
	return foreign, own
}

func TestWriteIsOneMessage(t *testing.T) { eachFraming(t, writeIsOneMessage) }

func writeIsOneMessage(t *testing.T, options ...ws.Option) {
	foreign, own := meet(t, options...)
	for _, size := range []int{1, 1000, 64 << 10, 1 << 20} {
		want := bytes.Repeat([]byte{'x'}, size)
		written := make(chan error, 1)
		go func() { _, err := own.Write(want); written <- err }()
		kind, got, err := foreign.ReadMessage()
		if kind != websocket.BinaryMessage || !bytes.Equal(got, want) || err != nil {
			t.Fatalf("Write of %d bytes arrives as %d bytes of kind %d, %v", size, len(got), kind, err)
		}
		if err := await.From(t, "Write", written); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadCrossesMessages(t *testing.T) { eachFraming(t, readCrossesMessages) }

func readCrossesMessages(t *testing.T, options ...ws.Option) {
	foreign, own := meet(t, options...)
	for _, message := range []string{"one ", "", "two ", "three"} {
		if err := foreign.WriteMessage(websocket.BinaryMessage, []byte(message)); err != nil {
			t.Fatal(err)
		}
	}
	const want = "one two three"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(own, got); err != nil || string(got) != want {
		t.Errorf("Read returned %q, %v, want %q", got, err, want)
	}
}

func TestTextIsRefused(t *testing.T) { eachFraming(t, textIsRefused) }

func textIsRefused(t *testing.T, options ...ws.Option) {
	foreign, own := meet(t, options...)
	if err := foreign.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	const want = "ws: read: peer sent a text message"
	if _, err := own.Read(make([]byte, 1)); err == nil || err.Error() != want {
		t.Errorf("Read returned %v, want %v", err, want)
	}
	if _, _, err := foreign.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseUnsupportedData) {
		t.Errorf("peer gets %v, want a close frame with status 1003", err)
	}
}

func TestCloseFrames(t *testing.T) { eachFraming(t, closeFrames) }

func closeFrames(t *testing.T, options ...ws.Option) {
	malformed := `ws: read: protocol violation: a close frame with half a status`
	if len(options) > 0 { // the library takes it for none
		malformed = `ws: read: peer closed with status 1005 ""`
	}
	for _, test := range []struct {
		name  string
		frame []byte
		want  string
	}{
		{"Normal", websocket.FormatCloseMessage(websocket.CloseNormalClosure, "bye"), "EOF"},
		{"GoingAway", websocket.FormatCloseMessage(websocket.CloseGoingAway, ""), "EOF"},
		{"NoStatus", nil, `ws: read: peer closed with status 1005 ""`},
		{"Failure", websocket.FormatCloseMessage(websocket.CloseInternalServerErr, "oh\n"), `ws: read: peer closed with status 1011 "oh\n"`},
		{"Malformed", []byte{1}, malformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			foreign, own := meet(t, options...)
			if err := foreign.WriteControl(websocket.CloseMessage, test.frame, time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			// Often, because gorilla panics if it is asked often.
			for range 2000 {
				if n, err := own.Read(make([]byte, 1)); n != 0 || err == nil || err.Error() != test.want {
					t.Fatalf("Read returned %d, %v, want %v", n, err, test.want)
				}
			}
		})
	}
}

// A connection that ends without a close frame was cut, wherever that happens.
func TestCut(t *testing.T) { eachFraming(t, cut) }

func cut(t *testing.T, options ...ws.Option) {
	for name, sent := range map[string]string{
		"BetweenMessages": "\x82\x03abc",
		"InMessage":       "\x82\x05abc",
		"BetweenFrames":   "\x02\x03abc",
		"InHeader":        "\x82\x03abc\x82",
	} {
		t.Run(name, func(t *testing.T) {
			addr := serveRaw(t, func(conn net.Conn) {
				accept(conn, "")
				io.WriteString(conn, sent)
			})
			conn, err := dial(t, ws.New(options...), "ws://"+addr, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 3)
			if _, err := io.ReadFull(conn, got); err != nil || string(got) != "abc" {
				t.Fatalf("Read returned %q, %v", got, err)
			}
			const want = "ws: read: connection cut: unexpected EOF"
			if _, err := conn.Read(got); err == nil || err.Error() != want || errors.Is(err, io.EOF) {
				t.Errorf("Read returned %v, want %v", err, want)
			}
		})
	}
}

func TestProtocolViolation(t *testing.T) { eachFraming(t, protocolViolation) }

func protocolViolation(t *testing.T, options ...ws.Option) {
	addr := serveRaw(t, func(conn net.Conn) {
		accept(conn, "")
		io.WriteString(conn, "\xf2\x03abc")
		silent(conn)
	})
	conn, err := dial(t, ws.New(options...), "ws://"+addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := "ws: read: protocol violation: reserved bits are set, but no extension was negotiated"
	if len(options) > 0 {
		want = "ws: read: websocket: RSV1 set, RSV2 set, RSV3 set"
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || err.Error() != want {
		t.Errorf("Read returned %v, want %v", err, want)
	}
}

func TestWriteAfterCloseWrite(t *testing.T) { eachFraming(t, writeAfterCloseWrite) }

func writeAfterCloseWrite(t *testing.T, options ...ws.Option) {
	_, own := meet(t, options...)
	for range 2 {
		if err := own.(carrier.CloseWriter).CloseWrite(); err != nil {
			t.Errorf("CloseWrite: %v", err)
		}
	}
	want := "ws: write: a close frame was sent"
	if len(options) > 0 {
		want = "ws: write: " + websocket.ErrCloseSent.Error()
	}
	if _, err := own.Write([]byte("late")); err == nil || err.Error() != want {
		t.Errorf("Write after CloseWrite returned %v, want %v", err, want)
	}
}

func TestNoDeadlines(t *testing.T) { eachFraming(t, noDeadlines) }

func noDeadlines(t *testing.T, options ...ws.Option) {
	_, own := meet(t, options...)
	for name, set := range map[string]func(time.Time) error{
		"SetDeadline":      own.SetDeadline,
		"SetReadDeadline":  own.SetReadDeadline,
		"SetWriteDeadline": own.SetWriteDeadline,
	} {
		if err := set(time.Now()); !errors.Is(err, os.ErrNoDeadline) {
			t.Errorf("%s returned %v, want %v", name, err, os.ErrNoDeadline)
		}
	}
}
