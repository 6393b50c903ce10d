package qmux_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
)

// TestDriven has a Read drive, as it does once a page has answered it for a while, and the
// page say something that is not for it. The session's own goroutine must do what a Read
// may not.
func TestDriven(t *testing.T) {
	extended := strings.Replace(defaults, " 37 ", " 3d ", 1) + "9bacd1a1 01 10" // with a backlog of 16
	for name, test := range map[string]struct {
		say  string // before the Read gets a byte
		want error  // of the Read; nil if it gets the byte
	}{
		"nothing":         {"", nil},
		"message":         {"9bacd1a3 02 6869", nil},
		"message, before": {"0e 01 0c 01 78 9bacd1a3 02 6869", nil},
		"ping":            {"f48c67529ef8c7bd 05", nil},
		"new stream":      {"0e 00 00 02 6869", nil},
		"unknown frame":   {"3f", mux.ErrProtocol},
		"gap":             {"0e 01 20 01 00", mux.ErrProtocol}, // and what is left is valid
		"close":           {"1d 4063 03 627965", mux.ErrClosedByPeer},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			heard := make(chan []byte, 1)
			s, page := visit(t, mux.Config{OnMessage: func(m []byte) { heard <- m }})
			page.say(extended)
			go func() { // takes what the session says
				for err := error(nil); err == nil; {
					_, _, err = page.ReadMessage()
				}
				page.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(patience))
			}()
			st, err := s.Open(t.Context())
			if err != nil {
				t.Fatal("open:", err)
			}
			read := make(chan error)
			go func() {
				for err := error(nil); err == nil; {
					_, err = st.Read(make([]byte, 1))
					read <- err
				}
			}()
			for offset := range 12 {
				page.say(fmt.Sprintf("0e 01 %02x 01 78", offset))
				if err := <-read; err != nil {
					t.Fatal("read:", err)
				}
			}
			if test.say != "" {
				page.say(test.say)
			}
			if bytes.Contains([]byte(test.say), []byte("9bacd1a3")) {
				if m := <-heard; string(m) != "hi" {
					t.Errorf("message %q, want hi", m)
				}
			}
			if name == "new stream" {
				if _, err := s.Accept(t.Context()); err != nil {
					t.Error("accept:", err)
				}
			}
			if test.want == nil && name != "message, before" {
				page.say("0e 01 0c 01 78")
			}
			if err := <-read; !errors.Is(err, test.want) {
				t.Errorf("read: %v, want %v", err, test.want)
			}
			if test.want != nil {
				<-s.Context().Done()
				if err := context.Cause(s.Context()); !errors.Is(err, test.want) {
					t.Errorf("cause %v, want %v", err, test.want)
				}
				return
			}
			st.Close()
			<-read
		})
	}
}
