package life

import (
	"fmt"
	"io"

	"github.com/backdial/backdial/mux"
)

// SendErrLocked returns the error of Send that is the same in all protocols, or nil: the
// message is too long, or the session is over.
func (s *Session[S]) SendErrLocked(message []byte) error {
	if len(message) > mux.MaxMessage {
		return fmt.Errorf("%s: send: a message of %d bytes is longer than %d", s.name, len(message), mux.MaxMessage)
	}
	return s.UseErrLocked()
}

// Deliver reads a message of n bytes from r, and hands it to the session's user. The
// protocol has checked that n is at most [mux.MaxMessage].
func (s *Session[S]) Deliver(n int, r io.Reader) error {
	message := make([]byte, n)
	if _, err := io.ReadFull(r, message); err != nil {
		return err
	}
	if s.Config.OnMessage != nil {
		s.Config.OnMessage(message)
	}
	return nil
}
