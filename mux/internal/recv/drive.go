package recv

// awaitLocked waits, with h unlocked, until something may have happened that concerns a
// Read. If the role of the session's reader is lent, it takes it meanwhile.
func (h *Pushed) awaitLocked() {
	if h.budget.Role.conn == nil {
		h.WaitLocked()
		return
	}
	h.waits++
	h.budget.Role.waiting.Add(1)
	if !h.budget.Role.take() {
		h.WaitLocked()
		return
	}
	h.waits--
	h.budget.Role.waiting.Add(-1)
	h.driveLocked()
}

// driveLocked reads the carrier until a Read of h need not wait any longer, or the keeper
// has to go on.
func (h *Pushed) driveLocked() {
	for {
		arrived := h.arriveLocked()
		if !arrived && h.drives {
			h.drives = false
			h.budget.Role.giveBack(true)
			return
		}
		interrupted := !h.drives
		h.drives = false
		if arrived {
			h.mu.Unlock()
			all := h.budget.Role.takeArrived()
			h.mu.Lock()
			if !all {
				h.budget.Role.giveBack(true)
				return
			}
		}
		ready, err := h.readyLocked(1)
		switch {
		case err != nil && h.state != Open: // no other Read will follow
			h.budget.Role.giveBack(false)
			return
		case ready, h.filled > 0, interrupted, err != nil:
			h.budget.Role.leave()
			return
		}
	}
}

// arriveLocked waits, with h unlocked, for a message, and reports whether it is there.
// WakeLocked interrupts it, and clears drives.
func (h *Pushed) arriveLocked() bool {
	h.drives = true
	h.mu.Unlock()
	defer h.mu.Lock()
	return h.budget.Role.conn.Arrive(true)
}

// takeArrived takes the message that has arrived, and all that have arrived with it. It
// reports whether the next Read may go on.
func (r *Role) takeArrived() bool {
	for {
		if !r.session.TakeArrived() {
			return false
		}
		if !r.conn.Arrive(false) {
			return true
		}
	}
}
