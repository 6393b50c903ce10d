package nativemux

import (
	"math"
	"sync/atomic"

	"github.com/backdial/backdial/mux/internal/recv"
)

// What applications on this end have read is credit that the peer gets back. The peer is
// told when that is worth a message: when a quarter of the window has been read or, while
// the peer waits, every few milliseconds.

// endedAtOnce is how many streams end before the peer is told, unless it waits.
const endedAtOnce = 64

// inflows tracks what has been read on all streams of a session.
type inflows struct {
	window uint64        // bytes that may be unread
	read   atomic.Uint64 // bytes in total
	due    atomic.Uint64 // the value of read that is worth a message, if the peer counts

	// Guarded by life.Session.Mu.
	off       bool       // the peer does not count
	counted   bool       // the peer counts, and has been told the limit
	ended     []readSize // streams that ended, of which the peer must know
	peerWaits bool       // for credit
	demands   uint64     // how many messages said so
}

// A readSize is how many bytes of a stream have been read.
type readSize struct{ id, read uint64 }

// inflow tracks what has been read on one stream.
type inflow struct {
	read  atomic.Uint64 // bytes
	ended atomic.Bool   // nothing more will be

	// Guarded by life.Session.Mu.
	told   uint64  // what the peer knows of read
	demand *demand // the latest of the peer, while it waits for credit
}

func (in *inflows) init(window int) {
	in.window = uint64(window)
	in.due.Store(math.MaxUint64)
}

// TakenLocked implements [recv.Supply]. What the application has read becomes credit.
func (st supply) TakenLocked(n int) {
	st.accountLocked()
	st.in.WakeLocked() // there is room
	if n == 0 {
		return
	}
	st.inflow.read.Add(uint64(n))
	if in := &st.s.inflows; in.read.Add(uint64(n)) >= in.due.Load() {
		st.s.sayRead()
	}
}

// reportEndLocked tells the peer, once, that nothing more of st will be read, if that is so.
func (st *stream) reportEndLocked() {
	over := st.in.StateLocked() != recv.Open && st.in.BufferedLocked() == 0
	if over && !st.inflow.ended.Swap(true) {
		st.s.Mu.Lock()
		defer st.s.Mu.Unlock()
		st.s.endedLocked(st.cs.ID(), st.inflow.read.Load())
	}
}

// endedLocked notes that nothing more of a stream will be read.
func (s *session) endedLocked(id, read uint64) {
	in := &s.inflows
	if in.off {
		return
	}
	in.ended = append(in.ended, readSize{id, read})
	if in.counted && len(in.ended) >= endedAtOnce {
		s.sayLocked(func(*control) {})
	}
}

// sayRead tells a peer that counts how much has been read.
func (s *session) sayRead() {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.sayReadLocked()
}

func (s *session) sayReadLocked() {
	if s.inflows.counted {
		s.inflows.due.Store(s.inflows.read.Load() + max(s.inflows.window/4, 1))
		s.sayLocked(func(c *control) { c.credit = true })
	}
}

// creditLocked returns the peer's new limit, and what it does not know yet about streams.
func (s *session) creditLocked() (limit uint64, streams []readSize) {
	for id, st := range s.streams {
		if read := st.inflow.read.Load(); read != st.inflow.told && !st.inflow.ended.Load() {
			st.inflow.told = read
			streams = append(streams, readSize{id, read})
		}
	}
	return s.inflows.read.Load() + s.inflows.window, streams
}
