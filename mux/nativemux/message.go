package nativemux

import (
	"bufio"
	"errors"
	"fmt"

	"github.com/backdial/backdial/mux"
)

// maxMessages is how many messages may wait for a peer that takes none.
const maxMessages = 64

// errDeaf is the error of Send if the peer has no control stream.
var errDeaf = errors.New("native: send: the peer has not opened the stream for messages")

// Send implements [mux.Session].
func (s *session) Send(message []byte) error {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if err := s.SendErrLocked(message); err != nil {
		return err
	}
	switch {
	case s.deafLocked():
		return errDeaf
	case len(s.control.messages) == maxMessages:
		return fmt.Errorf("native: send: %d messages wait for the peer to take them", maxMessages)
	}
	message = append([]byte(nil), message...)
	s.sayLocked(func(c *control) { c.messages = append(c.messages, message) })
	return nil
}

// hearMessage reads a message from r.
func (s *session) hearMessage(r *bufio.Reader) error {
	n, err := readUvarint(r)
	if err != nil {
		return err
	}
	if n > mux.MaxMessage {
		return fmt.Errorf("%w: message of %d bytes", mux.ErrProtocol, n)
	}
	return s.Deliver(int(n), r)
}
