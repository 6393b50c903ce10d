package ws_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/long"
)

// meetServer connects a client of this package to a foreign server.
func meetServer(t *testing.T, bufferSize int) (foreign *websocket.Conn, own carrier.Conn) {
	t.Helper()
	accepted := make(chan *websocket.Conn, 1)
	addr := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		u := websocket.Upgrader{WriteBufferSize: bufferSize}
		conn, err := u.Upgrade(w, r, nil)
		if err != nil {
			t.Errorf("Upgrade: %v", err)
		}
		accepted <- conn
	})
	own, err := dial(t, ws.New(), "ws://"+addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	foreign = await.From(t, "Upgrade", accepted)
	t.Cleanup(func() { foreign.Close() })
	return foreign, own
}

// TestAgainstGorilla exchanges random messages, in random fragments and with control
// frames between them, with connections of gorilla/websocket.
func TestAgainstGorilla(t *testing.T) {
	for seed := range uint64(6) {
		if seed%2 == 1 && long.Times(5) < 5 {
			continue
		}
		for _, plain := range []bool{false, true} { // reading as from any other connection
			name := fmt.Sprintf("%d,plain=%t", seed, plain)
			// It cuts a message into frames of its buffer's size.
			bufferSize := 16 << (2 * seed)
			t.Run("Server/"+name, func(t *testing.T) {
				leak.Check(t)
				foreign, own := meetDialer(t, websocket.Dialer{WriteBufferSize: bufferSize})
				exchange(t, foreign, own.(carrier.MessageConn), seed, plain)
			})
			t.Run("Client/"+name, func(t *testing.T) {
				leak.Check(t)
				foreign, own := meetServer(t, bufferSize)
				exchange(t, foreign, own.(carrier.MessageConn), seed, plain)
			})
		}
	}
}

const messagesEachWay = 150

func exchange(t *testing.T, foreign *websocket.Conn, own carrier.MessageConn, seed uint64, plain bool) {
	random := func(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }
	up, down := randomMessages(random(1)), randomMessages(random(2))
	var lastPong string // only the goroutine that reads foreign changes it
	foreign.SetPongHandler(func(s string) error { lastPong = s; return nil })
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	context.AfterFunc(ctx, func() { foreign.Close(); own.Close() })
	results := make(chan error, 4)
	read := make(chan struct{}) // all that own gets
	go func() {
		err := writeOwn(own, up, random(3))
		if <-read; err == nil {
			err = own.(carrier.CloseWriter).CloseWrite()
		}
		results <- err
	}()
	go func() { results <- readForeign(foreign, up) }()
	go func() { results <- writeForeign(foreign, down, random(4)) }()
	go func() {
		defer close(read)
		if plain {
			results <- readPlain(own, down, random(5))
		} else {
			results <- readMessages(own, down, random(5))
		}
	}()
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
			cancel()
		}
	}
	if want := fmt.Sprint("ping ", messagesEachWay-1); !t.Failed() && lastPong != want {
		t.Errorf("the last pong is %q, want %q", lastPong, want)
	}
}

// randomMessages returns messages of all sizes; some are empty.
func randomMessages(r *rand.Rand) (messages [][]byte) {
	random := noise(byte(r.Uint32()), 300_000)
	for range messagesEachWay {
		size := r.IntN(1 << r.IntN(19))
		from := r.IntN(len(random) - size)
		messages = append(messages, random[from:from+size])
	}
	return messages
}

func writeOwn(own carrier.MessageConn, messages [][]byte, r *rand.Rand) error {
	for rest := messages; len(rest) > 0; {
		n := min(len(rest), 1+r.IntN(4))
		before := bytes.Join(rest[:n], nil)
		if err := own.WriteMessages(rest[:n]...); err != nil {
			return err
		}
		if !bytes.Equal(bytes.Join(rest[:n], nil), before) {
			return fmt.Errorf("WriteMessages changes what it writes")
		}
		rest = rest[n:]
	}
	return nil
}

// readForeign expects messages, except the empty ones, which are not written.
func readForeign(foreign *websocket.Conn, messages [][]byte) error {
	for i, want := range messages {
		if len(want) == 0 {
			continue
		}
		kind, got, err := foreign.ReadMessage()
		if kind != websocket.BinaryMessage || !bytes.Equal(got, want) || err != nil {
			return fmt.Errorf("message %d arrives as %d bytes of kind %d, %w, want %d", i, len(got), kind, err, len(want))
		}
	}
	if _, _, err := foreign.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		return fmt.Errorf("after the last message: %w", err)
	}
	return nil
}

func writeForeign(foreign *websocket.Conn, messages [][]byte, r *rand.Rand) error {
	control := func(kind int, payload string) error {
		return foreign.WriteControl(kind, []byte(payload), time.Now().Add(patience))
	}
	for i, m := range messages {
		w, err := foreign.NextWriter(websocket.BinaryMessage)
		if err != nil {
			return err
		}
		for len(m) > 0 {
			n := min(len(m), 1+r.IntN(1<<r.IntN(18)))
			if _, err := w.Write(m[:n]); err != nil {
				return err
			}
			if m = m[n:]; r.IntN(4) == 0 {
				if err := control(websocket.PingMessage+r.IntN(2), fmt.Sprint("ping ", i)); err != nil {
					return err
				}
			}
		}
		if err := w.Close(); err != nil {
			return err
		}
		if err := control(websocket.PingMessage, fmt.Sprint("ping ", i)); err != nil {
			return err
		}
	}
	return control(websocket.CloseMessage, string(websocket.FormatCloseMessage(websocket.CloseGoingAway, "done")))
}

func readPlain(own carrier.MessageConn, messages [][]byte, r *rand.Rand) error {
	want := bytes.Join(messages, nil)
	for at := 0; ; {
		p := make([]byte, 1+r.IntN(1<<r.IntN(18)))
		n, err := own.Read(p)
		if !bytes.HasPrefix(want[at:], p[:n]) {
			return fmt.Errorf("bytes %d to %d are not what was written", at, at+n)
		}
		if at += n; err == io.EOF && at == len(want) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read after %d of %d bytes: %w", at, len(want), err)
		}
	}
}

// readMessages reads most messages, and leaves something of the others.
func readMessages(own carrier.MessageConn, messages [][]byte, r *rand.Rand) error {
	const limit = 1 << 20
	for i, want := range messages {
		size, err := own.NextMessage(limit)
		if size != len(want) || err != nil {
			return fmt.Errorf("message %d has %d bytes, %w, want %d", i, size, err, len(want))
		}
		leave := r.IntN(4) == 0
		for at := 0; at < size && !(leave && r.IntN(2) == 0); {
			p := make([]byte, 1+r.IntN(1<<r.IntN(18)))
			n, err := own.Read(p)
			if n == 0 || err != nil || !bytes.HasPrefix(want[at:], p[:n]) {
				return fmt.Errorf("message %d: read of %d bytes after %d, %w", i, n, at, err)
			}
			at += n
		}
		if !leave {
			if n, err := own.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				return fmt.Errorf("message %d: read of %d bytes after all, %w", i, n, err)
			}
		}
	}
	if _, err := own.NextMessage(limit); err != io.EOF {
		return fmt.Errorf("after the last message: %w", err)
	}
	return nil
}
