package qmux

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/backdial/backdial/mux"
)

// maxMessages is how many bytes of messages may wait for the carrier beside the data, so
// that a busy session can still send messages.
const maxMessages = 64 << 10

// Send implements [mux.Session].
func (s *session) Send(message []byte) error {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	c := &s.control
	if err := s.SendErrLocked(message); err != nil {
		return err
	}
	switch {
	case s.writer.Muted():
		return s.lost(errMuted)
	case s.peer != nil && !s.peer.extended():
		return errors.New("qmux: send: the peer takes no messages")
	case c.inMessages >= maxMessages:
		return fmt.Errorf("qmux: send: %d bytes of messages wait for the peer to take them", c.inMessages)
	}
	c.messages = append(c.messages, bytes.Clone(message))
	c.inMessages += len(message) + maxHeader
	s.flushLocked()
	return nil
}

// hearMessage reads the message in f.
func (s *session) hearMessage(f frame, r *recordReader) error {
	if f.length > mux.MaxMessage {
		return violation(frameEncodingError, f.typ, "message of %d bytes", f.length)
	}
	if err := s.Deliver(f.length, r); err != nil {
		return cut(err)
	}
	return nil
}
