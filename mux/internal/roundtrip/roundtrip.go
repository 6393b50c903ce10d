// Package roundtrip measures how long a peer takes to answer.
package roundtrip

import (
	"sync/atomic"
	"time"
)

// A Meter measures one question at a time. Its zero value has measured nothing.
type Meter struct {
	asked time.Time // zero once it is answered; guarded by whose the meter is

	latest   atomic.Int64 // in nanoseconds; 0 for none
	shortest atomic.Int64 // of all that were measured
}

// Asked notes that a question leaves now. An earlier one that has not been answered
// is forgotten: the answer may be lost, as that of a library is that has too much
// to write.
func (m *Meter) Asked() { m.asked = time.Now() }

// Asking reports whether a question has not been answered yet.
func (m *Meter) Asking() bool { return !m.asked.IsZero() }

// Answered notes that the last question has been answered, for the first time.
func (m *Meter) Answered() {
	took := max(int64(time.Since(m.asked)), 1)
	m.asked = time.Time{}
	m.latest.Store(took)
	if shortest := m.shortest.Load(); shortest == 0 || took < shortest {
		m.shortest.Store(took)
	}
}

// Latest returns the last round trip that was measured, or 0 for none. It may be
// called at any time.
func (m *Meter) Latest() time.Duration { return time.Duration(m.latest.Load()) }

// Shortest returns the shortest round trip so far, or 0 for none. It is the one
// that waited the least in queues, so it is that of the path. It may be called at
// any time.
func (m *Meter) Shortest() time.Duration { return time.Duration(m.shortest.Load()) }
