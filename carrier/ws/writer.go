package ws

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

var (
	errCloseSent = errors.New("a close frame was sent")
	errNoRoom    = fmt.Errorf("the peer reads too little for a close frame: %w", os.ErrDeadlineExceeded)
)

// A writer writes frames. Two goroutines use it: one writes messages, and the one that
// reads answers pings, without waiting for anything.
type writer struct {
	conn   net.Conn
	prompt prompter // nil if every write may wait
	masks  bool

	turn chan struct{} // holds a value while a goroutine has the turn to write

	mu       sync.Mutex // guards below; never held during a write
	writing  bool       // the goroutine that writes looks at pong when done
	flushing bool       // a goroutine is about to write pong
	hasPong  bool       // a pong waits
	err      error      // why nothing more can be written
	kept     []*output  // must be sent before anything else
	pong     []byte     // payload of the latest pong
}

// write writes messages, each as a frame.
func (w *writer) write(messages ...[]byte) error {
	w.turn <- struct{}{}
	err := w.writeInTurn(messages, nil)
	w.end(err)
	return err
}

// writeLast is write, with a close frame after the messages.
func (w *writer) writeLast(status int, messages [][]byte) error {
	w.turn <- struct{}{}
	return w.closeInTurn(status, "", messages)
}

// closeInTurn is writeLast for a caller that has the turn. It gives the turn back.
func (w *writer) closeInTurn(status int, reason string, messages [][]byte) error {
	var payload [maxControl]byte
	err := w.writeInTurn(messages, appendClose(payload[:0], status, reason))
	w.end(cmp.Or(err, errCloseSent))
	return err
}

// writeInTurn writes messages, and then a close frame unless its payload is nil. Its caller
// has the turn.
func (w *writer) writeInTurn(messages [][]byte, closing []byte) error {
	o := newOutput(w.conn, w.masks, messages)
	defer o.free()
	err := w.flushKept()
	if err == nil {
		err = w.begin(o)
	}
	for _, m := range messages {
		if err == nil && len(m) > 0 {
			err = o.frame(opBinary, m)
		}
	}
	if err == nil && closing != nil {
		err = o.frame(opClose, closing)
	}
	if err == nil {
		err = o.flush()
	}
	return err
}

// begin is called with the turn. It appends the waiting pong, if any.
func (w *writer) begin(o *output) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writing = true
	if w.err != nil {
		return w.err
	}
	if w.hasPong {
		w.hasPong = false
		return o.frame(opPong, w.pong) // the output has room for it
	}
	return nil
}

// end gives the turn back. After an error nothing more is written.
func (w *writer) end(err error) {
	w.mu.Lock()
	w.writing = false
	if w.err == nil {
		w.err = err
	}
	w.flushLocked()
	w.mu.Unlock()
	<-w.turn
}

// sendPong answers a ping. It replaces an earlier pong that still waits (RFC 6455,
// section 5.5.3).
func (w *writer) sendPong(payload []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pong, w.hasPong = append(w.pong[:0], payload...), true
	if !w.writing {
		w.flushLocked()
	}
}

// flushLocked starts a goroutine that writes the waiting pong, unless a write takes it
// along first. The goroutine ends when that is done, or the connection is closed.
func (w *writer) flushLocked() {
	if !w.hasPong || w.flushing || w.err != nil {
		return
	}
	w.flushing = true
	go func() {
		w.turn <- struct{}{}
		w.mu.Lock()
		w.flushing = false
		w.mu.Unlock()
		w.end(w.writeInTurn(nil, nil))
	}()
}

// sendClose sends a close frame, after which nothing can follow. It fails if there is no
// room for it within a second.
func (w *writer) sendClose(status int, reason string) error {
	deadline := time.Now().Add(controlWait)
	if !w.takeTurn(controlWait) {
		return errNoRoom
	}
	w.conn.SetWriteDeadline(deadline)
	return w.closeInTurn(status, reason, nil)
}

// takeTurn waits for the turn, for at most d, and reports whether the caller has it.
func (w *writer) takeTurn(d time.Duration) bool {
	select {
	case w.turn <- struct{}{}: // almost always
		return true
	default:
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case w.turn <- struct{}{}:
		return true
	case <-timer.C:
		return false
	}
}
