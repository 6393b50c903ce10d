package nativemux

import (
	"bufio"
	"fmt"
	"time"

	"github.com/backdial/backdial/mux"
)

// pingCounts is the number of a ping that says that its sender counts bytes. It follows
// hello. A peer that does not know this answers it like any other ping.
const pingCounts = 1 << 63

// maxListed limits the streams that a message lists, to more than a session can have.
const maxListed = 1 << 17

// appendCounts appends the messages about bytes read and sent.
func (s *session) appendCounts(b []byte) []byte {
	c, in := &s.control, &s.inflows
	if !in.counted {
		return b
	}
	if len(in.ended) >= endedAtOnce || c.credit && len(in.ended) > 0 {
		b = appendUvarints(b, kindEnded, uint64(len(in.ended)))
		for _, st := range in.ended {
			b = appendUvarints(b, st.id, st.read)
		}
		in.ended = in.ended[:0]
	}
	if c.credit {
		c.credit = false
		limit, streams := s.creditLocked()
		b = appendUvarints(b, kindCredit, limit, uint64(len(streams)))
		for _, st := range streams {
			b = appendUvarints(b, st.id, st.read)
		}
	}
	if c.demands {
		c.demands = false
		demands := s.outflows.demands()
		b = appendUvarints(b, kindDemands, uint64(len(demands)))
		for _, d := range demands {
			b = appendUvarints(b, d.id, d.sent, d.wants)
		}
	}
	return b
}

// peerPings answers the peer's ping, unless it says that the peer counts.
func (s *session) peerPings(number uint64) error {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if in := &s.inflows; number == pingCounts && !in.off {
		in.counted = true
		s.sayReadLocked()
		return nil
	}
	if !s.inflows.counted {
		s.doNotCountLocked()
	}
	s.sayLocked(func(c *control) { c.pong = number })
	return nil
}

// peerDoesNotCount turns counting off, unless the peer has said that it counts.
func (s *session) peerDoesNotCount() {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if !s.inflows.counted {
		s.doNotCountLocked()
	}
}

func (s *session) doNotCountLocked() {
	s.inflows.off = true
	s.inflows.ended = nil
	s.outflows.turnOff()
}

// countStreamLocked starts counting for a stream, whatever becomes of it.
func (s *session) countStreamLocked(id uint64) *outflow {
	if s.deafLocked() && !s.inflows.off {
		s.doNotCountLocked()
	}
	out, n := s.outflows.add(id)
	switch {
	case n <= maxCounted || s.ErrLocked() != nil:
	case s.inflows.counted:
		err := fmt.Errorf("%w: peer does not report the end of its streams: %d are open", mux.ErrProtocol, n)
		s.WG.Go(func() { s.End(s.lost(err)) })
	default: // it has not said that it counts, either
		s.doNotCountLocked()
	}
	return out
}

// deafLocked reports whether the peer has no control stream, as far as this end can know.
func (s *session) deafLocked() bool {
	return !s.listenSide && !s.control.heard && time.Since(s.started) >= helloWait
}

// sayDemands tells the peer which streams wait for credit.
func (s *session) sayDemands() {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.sayLocked(func(c *control) { c.demands = true })
}

// readCredit reads the peer's limit, and what it has read of streams.
func (s *session) readCredit(r *bufio.Reader) error {
	if err := with(r, s.outflows.raise); err != nil {
		return err
	}
	if err := readList(r, 2, func(v []uint64) error { return s.outflows.hasRead(v[0], v[1]) }); err != nil {
		return err
	}
	if s.outflows.grantReturned(true) {
		s.sayDemands()
	}
	return nil
}

// readEnded reads which streams the peer is done with.
func (s *session) readEnded(r *bufio.Reader) error {
	err := readList(r, 2, func(v []uint64) error { return s.outflows.hasEnded(v[0], v[1]) })
	s.outflows.grantReturned(false)
	return err
}

// readDemands reads what the peer has sent and wants to send.
func (s *session) readDemands(r *bufio.Reader) error {
	s.Mu.Lock()
	s.inflows.demands++
	number := s.inflows.demands
	s.Mu.Unlock()
	listed := false
	err := readList(r, 3, func(v []uint64) error {
		listed = true
		s.peerDemands(demand{v[0], v[1], v[2], number})
		return nil
	})
	s.peerWaits(listed)
	return err
}

// peerDemands notes a demand of the peer for a stream, which may be unknown here yet, or
// no longer known.
func (s *session) peerDemands(d demand) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if st := s.streams[d.id]; st != nil {
		st.inflow.demand = &d
	}
}

// peerWaits notes whether the peer waits for credit. While it does, its streams are
// watched.
func (s *session) peerWaits(waits bool) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.inflows.peerWaits = waits
	if waits {
		s.relieveLocked()
	}
}

// readList reads a list: the number of entries, and the values of each. handle must not
// keep them.
func readList(r *bufio.Reader, values int, handle func([]uint64) error) error {
	n, err := readUvarint(r)
	if err != nil {
		return err
	}
	if n > maxListed {
		return fmt.Errorf("%w: control message that lists %d streams", mux.ErrProtocol, n)
	}
	entry := make([]uint64, values)
	for range n {
		for i := range entry {
			if entry[i], err = readUvarint(r); err != nil {
				return err
			}
		}
		if err := handle(entry); err != nil {
			return err
		}
	}
	return nil
}
