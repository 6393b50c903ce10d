package nativemux

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/backdial/backdial/mux"
)

// maxMessages is how many messages may wait for a peer that takes none.
const maxMessages = 64

// errDeaf is the error of Send for a peer that has no control stream.
var errDeaf = errors.New("native: send: the peer has not opened the stream for messages")

// Send implements [mux.Session].
func (s *session) Send(message []byte) error {
	if len(message) > mux.MaxMessage {
		return fmt.Errorf("native: send: a message of %d bytes, where %d are the most", len(message), mux.MaxMessage)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return s.err
	case s.closing:
		return errSessionClosed
	case !s.listenSide && !s.control.heard && time.Since(s.started) >= helloWait:
		return errDeaf
	case len(s.control.messages) == maxMessages:
		return fmt.Errorf("native: send: %d messages wait for the peer to take them", maxMessages)
	}
	message = append([]byte(nil), message...)
	s.sayLocked(func(c *control) { c.messages = append(c.messages, message) })
	return nil
}

// hearMessage takes a message off r.
func (s *session) hearMessage(r *bufio.Reader) error {
	n, err := readUvarint(r)
	if err != nil {
		return err
	}
	if n > mux.MaxMessage {
		return fmt.Errorf("%w: message of %d bytes", mux.ErrProtocol, n)
	}
	message := make([]byte, n)
	if _, err := io.ReadFull(r, message); err != nil {
		return err
	}
	if s.config.OnMessage != nil {
		s.config.OnMessage(message)
	}
	return nil
}
