package engine

import (
	"fmt"
	"io"

	"github.com/backdial/backdial/mux"
)

// maxMessages is how many bytes of messages may wait for the carrier, behind as much
// data as may: a session that is busy can still be told something.
const maxMessages = 64 << 10

// Send implements [mux.Session].
func (s *session) Send(message []byte) error {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if err := s.SendErrLocked(message); err != nil {
		return err
	}
	switch {
	case s.writer.Muted():
		return s.lost(errMuted)
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
func (s *session) hearMessage(n int, r io.Reader) error {
	if n > mux.MaxMessage {
		return fmt.Errorf("%w: message of %d bytes", mux.ErrProtocol, n)
	}
	if err := s.Deliver(n, r); err != nil {
		return io.ErrUnexpectedEOF // the frame was cut short
	}
	return nil
}
