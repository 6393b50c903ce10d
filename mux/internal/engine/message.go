package engine

import (
	"fmt"
	"io"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/writeloop"
)

// maxMessages is how many bytes of messages may wait for the carrier beside the data, so
// that a busy session can still send messages.
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
	case s.queuedLocked() >= writeloop.MostRoom+maxMessages:
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

// hearMessage reads a message of n bytes from r.
func (s *session) hearMessage(n int, r io.Reader) error {
	if n > mux.MaxMessage {
		return fmt.Errorf("%w: message of %d bytes", mux.ErrProtocol, n)
	}
	if err := s.Deliver(n, r); err != nil {
		return io.ErrUnexpectedEOF // the frame was cut short
	}
	return nil
}
