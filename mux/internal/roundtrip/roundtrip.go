// Package roundtrip measures how long a peer takes to answer.
package roundtrip

import (
	"sync/atomic"
	"time"
)

// A Meter measures one question at a time. Its zero value has measured nothing.
type Meter struct {
	asked time.Time // zero once it is answered; guarded by the owner's lock

	latest   atomic.Int64 // in nanoseconds; 0 for none
	shortest atomic.Int64 // of all measurements
}

// Asked notes that a question is sent now. An earlier, unanswered one is forgotten: its
// answer may be lost, as a library loses answers when it has too much to write.
func (m *Meter) Asked() { m.asked = time.Now() }

// Asking reports whether a question is unanswered.
func (m *Meter) Asking() bool { return !m.asked.IsZero() }

// Answered notes the first answer to the last question.
func (m *Meter) Answered() {
	took := max(int64(time.Since(m.asked)), 1)
	m.asked = time.Time{}
	m.latest.Store(took)
	if shortest := m.shortest.Load(); shortest == 0 || took < shortest {
		m.shortest.Store(took)
	}
}

// Latest returns the latest round trip, or 0 for none. It may be called at any time.
func (m *Meter) Latest() time.Duration { return time.Duration(m.latest.Load()) }

// Shortest returns the shortest round trip so far, or 0 for none. It waited least in
// queues, so it is that of the path. It may be called at any time.
func (m *Meter) Shortest() time.Duration { return time.Duration(m.shortest.Load()) }
