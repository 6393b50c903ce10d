package writeloop

import "time"

const (
	// LeastRoom is the room for data that every session has, and MostRoom what it may have.
	// Both have a KiB for headers.
	LeastRoom = 64<<10 + 1<<10
	MostRoom  = 256<<10 + 1<<10

	// quick is how long the carrier may take for LeastRoom, at most, if there is to be more
	// room. All of it is then taken within half a millisecond.
	quick = 100 * time.Microsecond

	// growAfter is how many quick writes in a row double the room. Fewer may fit into the
	// buffers of a path that is slow.
	growAfter = 16
)

// room is how much data may wait for the carrier. More of it costs fewer system calls and
// wakes the peer less often, but a small write of another stream waits behind it. So there
// is more only while the carrier takes it quickly, and nobody writes little.
//
//	┌───────┐  growAfter quick writes in a row  ┌───────┐       ┌──────┐
//	│ least ├──────────────────────────────────►│ twice ├──────►│ most │
//	│       │◄──────────────────────────────────┤       │◄──────┤      │
//	└───▲───┘       a write that is slow        └───┬───┘       └──┬───┘
//	    └───────────────── a small write ───────────┴──────────────┘
type room struct {
	doublings uint8
	streak    uint8 // quick writes in a row
}

// Room is how many bytes of data may wait for the carrier.
func (l *Loop) Room() int { return min(LeastRoom<<l.room.doublings, MostRoom) }

// Writes notes a stream's write of n bytes. If it is small, it should not wait long behind
// other streams' data, and more small ones may follow.
func (l *Loop) Writes(n int) {
	if n <= smallWrite {
		l.room = room{}
	}
}

// smallWrite is the size up to which a write is small.
const smallWrite = 1 << 10

// took notes that the carrier has taken n bytes, with the time it took. What does not fill
// the room proves nothing.
func (r *room) took(n int, after time.Duration) {
	switch {
	case n < LeastRoom/2:
	case after > quick*time.Duration(n)/LeastRoom:
		r.doublings, r.streak = max(r.doublings, 1)-1, 0
	case r.doublings < 2:
		if r.streak++; r.streak == growAfter {
			r.doublings, r.streak = r.doublings+1, 0
		}
	}
}

// slack is what a buffer holds beyond the room, so that small frames do not move it.
const slack = 20 << 10

// MostBuffer is the size of the largest buffer that Reserve returns, unless one write needs
// more.
const MostBuffer = MostRoom + slack

// Reserve returns buf, or a copy of it, with room for n more bytes. If n is large, the copy
// has room for all data that may follow: otherwise it would soon be copied again.
func (l *Loop) Reserve(buf []byte, n int) []byte {
	if n < largeWrite || len(buf)+n <= cap(buf) {
		return buf
	}
	return append(make([]byte, 0, max(l.Room()+slack, len(buf)+n)), buf...)
}
