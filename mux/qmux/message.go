package qmux

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/backdial/backdial/mux"
)

// maxMessages is how many bytes of messages may wait for the carrier, besides as much
// data as may: a session that is busy can still be told something.
const maxMessages = 64 << 10

// Send implements [mux.Session].
func (s *session) Send(message []byte) error {
	if len(message) > mux.MaxMessage {
		return fmt.Errorf("qmux: send: a message of %d bytes, where %d are the most", len(message), mux.MaxMessage)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.control
	switch {
	case s.err != nil:
		return s.err
	case s.closing:
		return errSessionClosed
	case s.writer.Muted():
		return lost(errors.New("nothing more can be written"))
	case s.peer != nil && !s.peer.extended():
		return errors.New("qmux: send: the peer has no messages")
	case c.inMessages >= maxMessages:
		return fmt.Errorf("qmux: send: %d bytes of messages wait for the peer to take them", c.inMessages)
	}
	c.messages = append(c.messages, bytes.Clone(message))
	c.inMessages += len(message) + maxHeader
	s.flushLocked()
	return nil
}

// hearMessage takes the message that f is about.
func (s *session) hearMessage(f frame, r *recordReader) error {
	if f.length > mux.MaxMessage {
		return violation(frameEncodingError, f.typ, "message of %d bytes", f.length)
	}
	message := make([]byte, f.length)
	if _, err := io.ReadFull(r, message); err != nil {
		return cut(err)
	}
	if s.config.OnMessage != nil {
		s.config.OnMessage(message)
	}
	return nil
}
