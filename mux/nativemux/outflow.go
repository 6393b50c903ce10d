package nativemux

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/backdial/backdial/mux"
)

// The peer limits what this end has sent on all streams and the peer's applications have
// not read. That limit is credit: a Write takes it before it hands bytes to the carrier,
// and the peer returns it when its application reads. When the peer drops a stream, it
// says how much of it was read, which returns the rest. So the carrier's window for all
// streams never fills up, and the control stream always gets through.
//
// A stream may have as much unread as there is credit left. So a few unread streams take
// most of it, many share it evenly, and one more always gets some.

const (
	// chunk is how much a Write hands to the carrier at a time. With more, the stream
	// would hold credit that it cannot use while its own window is full.
	chunk = 64 << 10

	// least is what a Write waits for, unless it wants less: less is not worth a turn.
	least = 4 << 10

	// maxCounted limits the streams that the peer has not ended, and maxEarly those that
	// it has ended before this end knew them. Both are more than a session has.
	maxCounted = 1 << 17
	maxEarly   = 1 << 16
)

// outflow tracks what has been sent on one stream. Guarded by outflows.mu.
type outflow struct {
	id    uint64
	sent  uint64        // bytes that have taken credit
	read  uint64        // how many of those the peer says it has read
	wake  chan struct{} // has a value when the waiting Write must look again
	wants int32         // bytes that it waits for, at most a chunk
	given int32         // how many of those it may now send
	ended bool          // the peer drops whatever else is sent
}

// outflows is the outflow of all streams of a session.
type outflows struct {
	mu      sync.Mutex // guards below
	off     bool       // the peer does not count
	limited bool       // the peer has sent its limit
	limit   uint64     // bytes that may be used
	used    uint64     // bytes sent in total, less those that were dropped unread
	streams map[uint64]*outflow
	early   map[uint64]struct{} // streams that ended before this end knew them
	waiting []*outflow
	said    bool // the peer was told that some streams wait
}

// add starts counting for a stream, and returns how many streams are counted.
func (f *outflows) add(id uint64) (o *outflow, counted int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o = &outflow{id: id}
	if _, early := f.early[id]; early || f.off {
		delete(f.early, id)
		o.ended = true
		return o, len(f.streams)
	}
	if f.streams == nil {
		f.streams = make(map[uint64]*outflow)
	}
	f.streams[id] = o
	return o, len(f.streams)
}

// turnOff ends all counting: the peer does not count.
func (f *outflows) turnOff() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.off = true
	f.streams, f.early = nil, nil
}

// take returns how many of want bytes may be sent now. If it is none, the stream waits,
// and say reports whether the peer must know.
func (f *outflows) take(o *outflow, want int) (n int, say bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.off {
		return want, false
	}
	if n = f.roomLocked(o, want); n > 0 || want == 0 {
		f.chargeLocked(o, n)
		return n, false
	}
	o.wants = int32(min(want, chunk))
	if o.wake == nil {
		o.wake = make(chan struct{}, 1)
	}
	f.waiting = append(f.waiting, o)
	say = !f.said || len(f.waiting) <= 2 // a stream that waits alone harms no other
	f.said = true
	return 0, say
}

// roomLocked is how many of want bytes may be sent.
func (f *outflows) roomLocked(o *outflow, want int) int {
	want = min(want, chunk)
	if !f.limited || o.ended {
		return want
	}
	left, unread := int64(f.limit-f.used), int64(o.sent-o.read)
	room := (left - unread) / 2 // then as much is left as is unread
	if room < int64(min(want, least)) {
		return 0
	}
	return int(min(int64(want), room))
}

func (f *outflows) chargeLocked(o *outflow, n int) {
	if !o.ended {
		o.sent += uint64(n)
		f.used += uint64(n)
	}
}

// giveBack returns n bytes that were taken and not sent.
func (f *outflows) giveBack(o *outflow, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.off && !o.ended {
		o.sent -= uint64(n)
		f.used -= uint64(n)
		f.grantLocked()
	}
}

// granted returns what a waiting Write may send. If it is more than 0, the Write waits no
// longer.
func (f *outflows) granted(o *outflow) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := o.given
	o.given = 0
	return int(n)
}

// cancel ends the wait of a Write that sends nothing more.
func (f *outflows) cancel(o *outflow) {
	f.mu.Lock()
	if i := slices.Index(f.waiting, o); i >= 0 {
		f.waiting = slices.Delete(f.waiting, i, i+1)
		o.wants = 0
	}
	given := o.given
	o.given = 0
	f.mu.Unlock()
	if given > 0 {
		f.giveBack(o, int(given))
	}
}

// rouse makes a waiting Write look again.
func (f *outflows) rouse(o *outflow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o.rouseLocked()
}

func (o *outflow) rouseLocked() {
	select {
	case o.wake <- struct{}{}:
	default: // it is about to, or nobody waits
	}
}

// grantLocked gives the available room to the streams that wait.
func (f *outflows) grantLocked() {
	f.waiting = slices.DeleteFunc(f.waiting, func(o *outflow) bool {
		n := f.roomLocked(o, int(o.wants))
		if n == 0 {
			return false
		}
		f.chargeLocked(o, n)
		o.given, o.wants = int32(n), 0
		o.rouseLocked()
		return true
	})
}

// raise notes the peer's new limit. The caller then calls hasRead for each stream in the
// message, and grantReturned.
func (f *outflows) raise(limit uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.off {
		return fmt.Errorf("%w: peer counts bytes without having announced it", mux.ErrProtocol)
	}
	limit = min(limit, 1<<62) // avoids overflow
	if f.limited && limit < f.limit {
		return fmt.Errorf("%w: peer takes %d bytes in total, after it took %d", mux.ErrProtocol, limit, f.limit)
	}
	f.limited, f.limit = true, limit
	return nil
}

// hasRead notes how many bytes of a stream the peer has read.
func (f *outflows) hasRead(id, read uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.streams[id]
	if o == nil {
		return fmt.Errorf("%w: peer has read %d bytes of stream %d, which it does not have", mux.ErrProtocol, read, id)
	}
	return o.hasReadLocked(read)
}

func (o *outflow) hasReadLocked(read uint64) error {
	if read < o.read || read > o.sent {
		return fmt.Errorf("%w: peer has read %d bytes of stream %d, after %d, of %d", mux.ErrProtocol, read, o.id, o.read, o.sent)
	}
	o.read = read
	return nil
}

// hasEnded notes that the peer is done with a stream after it has read so many bytes of
// it.
func (f *outflows) hasEnded(id, read uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.off {
		return nil
	}
	o := f.streams[id]
	if o == nil {
		return f.endsEarlyLocked(id, read)
	}
	if err := o.hasReadLocked(read); err != nil {
		return err
	}
	f.used -= o.sent - o.read
	o.ended = true
	delete(f.streams, id)
	return nil
}

// endsEarlyLocked remembers a stream that ended before this end knew it.
func (f *outflows) endsEarlyLocked(id, read uint64) error {
	if read > 0 || len(f.early) == maxEarly {
		return fmt.Errorf("%w: peer has ended stream %d after %d bytes, which it does not have", mux.ErrProtocol, id, read)
	}
	if f.early == nil {
		f.early = make(map[uint64]struct{})
	}
	f.early[id] = struct{}{}
	return nil
}

// grantReturned gives returned credit to the streams that wait, and reports whether the peer
// must be told who still waits. asked says that the peer has sent a limit, to ask for
// that.
func (f *outflows) grantReturned(asked bool) (say bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grantLocked()
	if !asked {
		return false
	}
	say = f.said
	f.said = len(f.waiting) > 0
	return say || f.said
}

// demand is what a stream has sent, and what it wants to send.
type demand struct {
	id, sent, wants uint64
	number          uint64 // of the peer's message
}

// demands returns the demands of all streams with unread data, if any stream waits.
func (f *outflows) demands() (all []demand) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiting) == 0 {
		return nil
	}
	for _, o := range f.streams {
		if o.sent > o.read || o.wants > 0 {
			all = append(all, demand{id: o.id, sent: o.sent, wants: uint64(o.wants)})
		}
	}
	return all
}

// takeCredit waits until some of want bytes may be sent, and returns how many.
func (st *stream) takeCredit(want int) (int, error) {
	n, say := st.s.outflows.take(st.out, want)
	if n > 0 || want == 0 {
		return n, nil
	}
	if say {
		st.s.sayDemands()
	}
	for {
		deadline, err := st.writeLimits()
		if err != nil {
			st.s.outflows.cancel(st.out)
			return 0, err
		}
		if n := st.s.outflows.granted(st.out); n > 0 {
			return n, nil
		}
		waitUntil(st.out.wake, deadline)
	}
}

// writeLimits returns the deadline of Write, and the error with which it must end.
func (st *stream) writeLimits() (deadline time.Time, err error) {
	st.in.Lock()
	defer st.in.Unlock()
	if st.writeDeadline == nil || st.writeErr != nil {
		return time.Time{}, st.writeErr
	}
	if !time.Now().Before(*st.writeDeadline) {
		err = os.ErrDeadlineExceeded
	}
	return *st.writeDeadline, err
}

// waitUntil waits for wake, or for deadline unless it is zero.
func waitUntil(wake <-chan struct{}, deadline time.Time) {
	if deadline.IsZero() {
		<-wake
		return
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-wake:
	case <-timer.C:
	}
}
