package nativemux

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/mux/internal/recv"
)

// Usually a Read takes its bytes straight from the carrier, and what nobody reads stays
// there. But the carrier throws that away when the session ends, and does not say how
// much it is. So the session pumps a stream that nobody has read for a while, or not to
// its end: it fetches the stream's data, up to 32 KiB if there is room. That is too
// little for the carrier to enlarge the stream's window. When the peer closes the
// session, all streams are pumped dry, if there is room.

// neglect is how long a stream must be unread before it is pumped.
const neglect = 100 * time.Millisecond

// enough is how much a pump fetches of an unread stream.
const enough = 32 << 10

// The sizes of a pump's reads: they double while the carrier has that much.
const (
	smallFetch = 2 << 10
	largeFetch = 32 << 10
)

// Read implements [mux.Stream].
func (st *stream) Read(p []byte) (int, error) {
	st.in.Lock()
	defer st.in.Unlock()
	n, err := st.in.ReadLocked(p, supply{st})
	st.awaited = false
	st.reportEndLocked()
	return n, err
}

// supply is a stream as seen by its receiving half.
type supply struct{ *stream }

var _ recv.Supply = supply{}

// AwaitLocked implements [recv.Supply]. It reads from the carrier unless another
// goroutine does.
func (st supply) AwaitLocked(p []byte) (filled int) {
	st.awaited = true
	if st.reading || st.pumped {
		st.in.WaitLocked()
		return 0
	}
	st.forwardLocked(st.in.DeadlineLocked())
	st.reading = true
	n, err := st.fetchLocked(p)
	st.reading = false
	st.touched = st.touched || n < len(p) // otherwise there may be more
	st.s.watch.look(st.s)
	st.arrivedLocked(n, err)
	if st.in.StateLocked() == recv.Discarding {
		return 0
	}
	return n
}

// fetchLocked calls cs.Read, without the lock.
func (st *stream) fetchLocked(p []byte) (int, error) {
	st.in.Unlock()
	defer st.in.Lock()
	return st.cs.Read(p)
}

// arrivedLocked notes the result of a fetch. If the stream was given up before, its end
// is no news.
func (st *stream) arrivedLocked(n int, err error) {
	st.received += uint64(n)
	if n > 0 {
		st.s.Hear(n)
	}
	switch {
	case err == nil, errors.Is(err, os.ErrDeadlineExceeded):
	case err == io.EOF:
		st.in.EndLocked(recv.Finished, nil)
	default:
		st.in.EndLocked(recv.Failed, st.s.streamErr(err))
	}
	st.in.WakeLocked()
}

// unread pumps st if it was not read since the last call, and reports whether to look at
// st again.
func (st *stream) unread() bool {
	st.in.Lock()
	defer st.in.Unlock()
	if st.reading || st.pumped || st.in.StateLocked() != recv.Open {
		return false
	}
	if st.touched {
		st.touched = false
		return true
	}
	st.pumpLocked()
	return false
}

// await fetches everything, and waits until want bytes have arrived in total or the
// stream is finished.
func (st *stream) await(want uint64) {
	defer st.s.arrivedWhole()
	st.in.Lock()
	defer st.in.Unlock()
	st.unlimited = true
	st.pumpLocked()
	for st.in.StateLocked() == recv.Open && st.received < want {
		st.in.WaitLocked()
	}
}

// pumpLocked starts the pump, unless it runs.
func (st *stream) pumpLocked() {
	st.in.WakeLocked()
	if !st.pumped {
		st.pumped = true
		st.s.spawn(st.pump)
	}
}

// pump fetches data until the stream is done.
func (st *stream) pump() {
	st.in.Lock()
	defer st.in.Unlock()
	for st.reading { // that Read ends as if there were no pump
		st.in.WaitLocked()
	}
	if st.in.StateLocked() != recv.Discarding {
		st.forwardLocked(time.Time{})
	}
	for size := smallFetch; st.in.StateLocked() == recv.Open; {
		st.stalled = st.hasEnoughLocked()
		st.accountLocked()
		if st.stalled {
			st.in.WaitLocked()
			continue
		}
		free := st.in.SpaceLocked(st.reserveLocked(size))
		n, err := st.fetchLocked(free)
		st.in.CommitLocked(n)
		st.arrivedLocked(n, err)
		if n == len(free) {
			size = min(2*size, largeFetch)
		} else {
			size = smallFetch // what waits for the next byte is small
		}
	}
	st.stalled = false
	st.accountLocked()
	st.reportEndLocked()
}

// reserveLocked returns how much the pump may fetch now: size, or little if the session
// would then hold too much. It counts as held until accountLocked corrects that, because
// the pumps of other streams reserve at the same time.
func (st *stream) reserveLocked(size int) int {
	if size == smallFetch {
		return size
	}
	if st.s.held.Add(int64(size)) > int64(st.s.Config.ReceiveBuffer) {
		st.s.held.Add(int64(-size))
		return smallFetch
	}
	st.accounted += size
	return size
}

// hasEnoughLocked reports whether the pump has fetched what it may. If the session holds
// too much, that is just enough for a reader not to wait for others. The pumps go on
// regardless for a peer that closes the session.
func (st *stream) hasEnoughLocked() bool {
	switch {
	case st.in.BufferedLocked() == 0:
		return false
	case st.s.held.Load() > int64(st.s.Config.ReceiveBuffer):
		return true
	}
	return !st.unlimited && st.in.BufferedLocked() >= enough
}

// accountLocked tells the session how much memory the stream holds. If the pump stands
// still, the carrier may hold another window.
func (st *stream) accountLocked() {
	holds := 0
	if st.in.BufferedLocked() > 0 { // otherwise only the pump's waiting buffer
		holds = st.in.MemoryLocked()
	}
	if holds != st.accounted {
		st.s.held.Add(int64(holds - st.accounted))
		st.accounted = holds
	}
	guess := 0
	if st.stalled && st.in.StateLocked() != recv.Discarding {
		guess = holds + st.windowLocked()
	}
	if guess != st.guess {
		st.s.guess(guess - st.guess)
		st.guess = guess
	}
}

// windowLocked is how much of the stream the carrier may hold: its window, if that has
// doubled whenever it could.
func (st *stream) windowLocked() int {
	size, most := st.s.windows.Stream, st.s.windows.MaxStream
	for read := st.received; read > uint64(size/2) && 0 < size && size < most; size *= 2 {
		read -= uint64(size / 2)
	}
	return min(size, most)
}

// endReceivingLocked ends the receiving half for a reason that did not come from the
// carrier.
func (st *stream) endReceivingLocked(as recv.State, err error) {
	st.in.EndLocked(as, err)
	if as == recv.Discarding {
		st.accountLocked()
		st.reportEndLocked()
		st.forwardLocked(past) // wakes the fetcher
	}
}

// watch looks at a session's streams at intervals, while there are any that nobody reads.
type watch struct {
	due atomic.Bool // the timer runs

	mu      sync.Mutex // guards below
	timer   *time.Timer
	stopped bool
}

// look schedules a look at the streams of s.
func (w *watch) look(s *session) {
	if w.due.Load() || w.due.Swap(true) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.stopped:
	case w.timer == nil:
		w.timer = time.AfterFunc(neglect, func() { w.tick(s) })
	default:
		w.timer.Reset(neglect)
	}
}

func (w *watch) tick(s *session) {
	w.due.Store(false)
	again := false
	for _, st := range s.live() {
		if st.unread() {
			again = true
		}
	}
	if again {
		w.look(s)
	}
}

func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	if w.timer != nil {
		w.timer.Stop()
	}
}
