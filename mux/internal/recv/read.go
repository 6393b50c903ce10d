package recv

import (
	"io"
	"os"
	"time"

	"github.com/backdial/backdial/mux/internal/readbuf"
)

// A Supply is where the bytes of a [Half] come from: in some muxes the peer pushes them,
// in others the stream takes them from the carrier itself.
type Supply interface {
	// AwaitLocked waits, with the half unlocked, until something has happened that
	// concerns a Read with the buffer p. It may put bytes into p meanwhile, and returns
	// how many.
	AwaitLocked(p []byte) (filled int)

	// TakenLocked is called when a Read returns n bytes, wherever they came from.
	TakenLocked(n int)
}

// ReadLocked is Read of a stream whose bytes come from supply.
func (h *Half) ReadLocked(p []byte, supply Supply) (int, error) {
	for {
		ready, err := h.readyLocked(len(p))
		if err != nil {
			return 0, err
		}
		var n int
		if ready {
			n = h.buffer.Read(p)
		} else {
			n = supply.AwaitLocked(p)
		}
		if ready || n > 0 {
			supply.TakenLocked(n)
			return n, nil
		}
	}
}

// readyLocked reports whether a Read of up to n bytes would return some. If it would
// fail, readyLocked returns its error. (false, nil) means that the caller must wait.
func (h *Half) readyLocked(n int) (bool, error) {
	switch {
	case h.state == Discarding:
		return false, h.err
	case h.deadline.Passed():
		return false, os.ErrDeadlineExceeded
	case n == 0:
		return true, nil
	case h.buffer.Lent(): // to a WriteTo, which goes first
		return false, nil
	case h.buffer.Len() > 0:
		return true, nil
	case h.state == Finished:
		return false, io.EOF
	}
	return false, h.err
}

// Read implements [mux.Stream].
func (h *Pushed) Read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ReadLocked(p, h)
}

// WriteTo implements [mux.WriterTo].
func (h *Pushed) WriteTo(w io.Writer) (int64, error) {
	return readbuf.PassOn(w, h.lend, h.giveBack)
}

// lend waits for bytes and returns the first of them.
func (h *Pushed) lend() ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		ready, err := h.readyLocked(1)
		if err != nil {
			return nil, err
		}
		if ready {
			return h.buffer.Lend(), nil
		}
		h.awaitLocked()
	}
}

// giveBack ends what lend began. n bytes have been passed on.
func (h *Pushed) giveBack(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buffer.Return(n)
	h.TakenLocked(n)
	h.WakeLocked() // other readers may go on
}

// Check implements [mux.Checker].
func (h *Pushed) Check() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ErrLocked()
}

// SetReadDeadline implements [net.Conn].
func (h *Pushed) SetReadDeadline(t time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.SetDeadlineLocked(t)
}
