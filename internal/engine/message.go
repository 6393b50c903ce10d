package engine

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/backdial/backdial/mux"
)

// maxMessages is how many bytes of messages may wait for the carrier, behind as much
// data as may: a session that is busy can still be told something.
const maxMessages = 64 << 10

// Send implements [mux.Session].
func (s *Session) Send(message []byte) error {
	if len(message) > mux.MaxMessage {
		return fmt.Errorf("%s: send: a message of %d bytes, where %d are the most", s.wire.Name(), len(message), mux.MaxMessage)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return s.err
	case s.closing:
		return s.closedErr()
	case s.writer.Muted():
		return s.lost(errors.New("nothing more can be written"))
	case s.queuedLocked() >= maxQueue+maxMessages:
		return fmt.Errorf("%s: send: %d bytes wait for the peer to take them", s.wire.Name(), s.queuedLocked())
	}
	before := s.queuedLocked()
	s.appendLocked(Frame{Kind: Message, Length: len(message)})
	if s.queuedLocked() == before {
		return fmt.Errorf("%s: send: the protocol has no messages", s.wire.Name())
	}
	s.queue.buf = append(s.queue.buf, message...)
	return nil
}

// hearMessage takes a message of n bytes off r.
func (s *Session) hearMessage(n int, r *bufio.Reader) error {
	if n > mux.MaxMessage {
		return fmt.Errorf("%w: message of %d bytes", mux.ErrProtocol, n)
	}
	message := make([]byte, n)
	if _, err := io.ReadFull(r, message); err != nil {
		return io.ErrUnexpectedEOF // the frame was cut short
	}
	if s.config.OnMessage != nil {
		s.config.OnMessage(message)
	}
	return nil
}
