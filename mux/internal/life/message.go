package life

import (
	"fmt"
	"io"

	"github.com/backdial/backdial/mux"
)

// SendErrLocked is the error of Send for what no protocol sends, or nil: a message that is
// too long, or any when the session is over.
func (s *Session[S]) SendErrLocked(message []byte) error {
	if len(message) > mux.MaxMessage {
		return fmt.Errorf("%s: send: a message of %d bytes, where %d are the most", s.name, len(message), mux.MaxMessage)
	}
	return s.UseErrLocked()
}

// Deliver takes a message of n bytes off r, and hands it to the session's user. The
// protocol has seen that n is at most [mux.MaxMessage].
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
