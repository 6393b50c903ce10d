package nativemux

import (
	"fmt"
	"slices"
	"time"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/recv"
)

const (
	// answer is how often a peer that waits for credit is told what was read.
	answer = 10 * time.Millisecond

	// patience is that of a watch. There is always some credit for other streams, so a
	// resting stream does not stop them.
	patience = 5 * time.Second

	// refresh is how often a waiting peer is told the same again, so that it says what it
	// has sent.
	refresh = 150 * time.Millisecond
)

// relieveLocked starts watching the session's streams, until memory is no longer short.
func (s *session) relieveLocked() {
	if !s.relieving && s.ErrLocked() == nil {
		s.relieving = true
		s.WG.Go(s.relieve)
	}
}

// relieve returns credit to a peer that waits for it, and resets abandoned streams.
func (s *session) relieve() {
	ticker := time.NewTicker(answer)
	defer ticker.Stop()
	watch := recv.Watch[*stream]{Patience: patience}
	said := uint64(0)
	for n := time.Duration(1); ; n++ {
		select {
		case <-ticker.C:
		case <-s.Context().Done():
			return
		}
		if !s.isShort() {
			return
		}
		said = s.answerWaiting(said, n*answer%refresh == 0)
		if n*answer%recv.Interval == 0 {
			s.shed(&watch)
		}
	}
}

// guess changes the estimate of what streams hold if the peer does not say what it has
// sent.
func (s *session) guess(more int) {
	if s.guessed.Add(int64(more)) <= int64(s.budget) || more < 0 {
		return
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if !s.inflows.counted {
		s.relieveLocked()
	}
}

// isShort reports whether memory is still short. If not, the watch has ended.
func (s *session) isShort() bool {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.relieving = s.isShortLocked()
	return s.relieving
}

func (s *session) isShortLocked() bool {
	if s.inflows.counted {
		return s.inflows.peerWaits
	}
	return s.guessed.Load() > int64(s.budget)
}

// answerWaiting tells the peer how much was read, if that has changed from said, or
// anyway is set. It returns how much that is.
func (s *session) answerWaiting(said uint64, anyway bool) uint64 {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	in := &s.inflows
	if read := in.read.Load(); read != said || len(in.ended) > 0 || anyway {
		s.sayReadLocked()
		return read
	}
	return said
}

// A load is how much memory a stream uses.
type load struct {
	holds    int  // bytes that it may hold
	waits    bool // the peer would send more
	progress recv.Progress
}

// shed resets abandoned streams until a quarter of the memory is free.
func (s *session) shed(w *recv.Watch[*stream]) {
	w.Ready()
	loads, size := s.loads()
	want := size/4 - size
	progress := make(map[*stream]recv.Progress, len(loads))
	for st, l := range loads {
		want += l.holds
		progress[st] = l.progress
	}
	w.Look(progress)
	err := fmt.Errorf("native: %w: nobody reads it, and the session's receive buffer of %d bytes is full",
		mux.ErrReset, s.Config.ReceiveBuffer)
	for _, st := range expendable(loads, w.Abandoned(), want) {
		st.refuse(err)
	}
}

// expendable returns the abandoned streams to reset to free want bytes: the fullest
// first, and none if no other stream waits for its memory.
func expendable(loads map[*stream]load, abandoned []*stream, want int) (reset []*stream) {
	waiting := 0
	for _, l := range loads {
		if l.waits {
			waiting++
		}
	}
	slices.SortFunc(abandoned, func(a, b *stream) int { return loads[b].holds - loads[a].holds })
	for _, st := range abandoned {
		l := loads[st]
		if want <= 0 {
			break
		}
		others := waiting
		if l.waits {
			others--
		}
		if others == 0 { // no other stream needs its memory
			continue
		}
		waiting = others
		want -= l.holds
		reset = append(reset, st)
	}
	return reset
}

// loads returns what the session's streams hold, and how much they may hold in total.
func (s *session) loads() (loads map[*stream]load, size int) {
	s.Mu.Lock()
	in := &s.inflows
	counted := in.counted
	if size = s.budget; counted {
		size = int(in.window)
	}
	loads = make(map[*stream]load, len(s.streams))
	for _, st := range s.streams {
		if !st.inflow.ended.Load() {
			loads[st] = st.inflow.demandedLocked(in.demands)
		}
	}
	s.Mu.Unlock()
	for st, l := range loads {
		loads[st] = st.weigh(l, counted)
	}
	return loads, size
}

// demandedLocked is what the peer has said about a stream, also in earlier messages: what
// it has sent still has to be read.
func (in *inflow) demandedLocked(last uint64) (l load) {
	if d := in.demand; d != nil {
		l.holds = int(max(int64(min(d.sent, 1<<62)-in.read.Load()), 0))
		l.waits = d.wants > 0 && d.number == last
	}
	return l
}

// weigh adds to l what the stream itself knows of its load, which is everything if the
// peer does not count.
func (st *stream) weigh(l load, counted bool) load {
	st.in.Lock()
	defer st.in.Unlock()
	l.progress = recv.Progress{Consumed: st.inflow.read.Load(), Holds: l.holds}
	if !counted {
		l.holds, l.waits = st.guess, st.guess > 0
		l.progress.Holds = min(st.guess, st.in.BufferedLocked())
	}
	if st.awaited { // not its reader is slow
		l.progress.Holds = 0
	}
	return l
}
