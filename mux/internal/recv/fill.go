package recv

import "io"

// A Source is where a session's reader takes a frame's payload from.
type Source interface {
	io.Reader

	// ReadNow is Read, but returns 0 instead of waiting.
	ReadNow(p []byte) int
}

// FillLocked takes the next n bytes from r, or fewer if nobody reads them any more, and
// returns how many are left. It unlocks h while it waits for r or for memory. Only the
// session's reader calls it.
func (h *Pushed) FillLocked(r Source, n int) (left int, err error) {
	for n > 0 && err == nil && h.state != Discarding {
		if h.waits > 0 {
			h.budget.Role.feed(h.number)
		}
		if m := h.handOverLocked(r, n); m > 0 {
			n -= m
			continue
		}
		if h.budget.full() && !h.makeRoomLocked() {
			continue // nobody may want it any more
		}
		var m int
		free := h.SpaceLocked(n)
		h.mu.Unlock()
		m, err = r.Read(free)
		h.mu.Lock()
		h.CommitLocked(m)
		h.received += uint64(m)
		h.accountLocked()
		n -= m
	}
	return n, err
}

// makeRoomLocked waits for memory, with h unlocked. It reports whether to go on: there is
// memory, or the session has ended, which the next read from r reports.
func (h *Pushed) makeRoomLocked() bool {
	h.mu.Unlock()
	defer h.mu.Lock()
	return !h.budget.makeRoom()
}

// minInto is the least size of a Read's buffer that is filled without a detour.
const minInto = 4 << 10

// AwaitLocked implements [Supply].
func (h *Pushed) AwaitLocked(p []byte) (filled int) {
	if len(p) < minInto || h.into != nil {
		h.awaitLocked()
		return 0
	}
	h.into = p
	h.awaitLocked()
	filled = int(h.filled)
	h.into, h.filled = nil, 0
	return filled
}

// handOverLocked moves up to n bytes to a waiting Read, as far as they have arrived, and
// returns how many. h stays locked, so that Read does not return meanwhile; nothing here
// waits.
func (h *Pushed) handOverLocked(r Source, n int) int {
	if h.into == nil || h.buffer.Len() > 0 {
		return 0
	}
	free := h.into[h.filled:]
	n = r.ReadNow(free[:min(n, len(free))])
	if n > 0 {
		h.filled += int32(n)
		h.received += uint64(n)
		h.WakeLocked()
	}
	return n
}
