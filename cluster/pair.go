package cluster

import (
	"runtime"
	"slices"
	"time"
)

const (
	// crowd is how many connections make a session worth another one beside it.
	crowd = 4

	// mostSessions is how many sessions a pair has on a large machine.
	mostSessions = 4

	// narrowness is how long a pair that could not open another session does without.
	narrowness = 10 * time.Second
)

// A pair is this process and a node, with the sessions that open new connections. It begins
// with one. A session encrypts on one processor at a time, and a packet that is lost holds up
// all of its connections. So a pair gets another session while each has a crowd of connections
// and there are processors for it. New connections go to the session that has the fewest, and
// to the oldest of equal ones: so the others become idle when there is less to do, and end.
//
// Guarded by peers.mu. It has a session, or there is no pair.
type pair struct {
	sessions []*peer   // the oldest first
	narrow   time.Time // until when it gets no other session
}

// best returns the session to use, and whether the pair should get another. While no session is
// open, best returns the oldest that is being opened.
func (p *pair) best() (best *peer, crowded bool) {
	least, opening := 0, false
	for _, s := range p.sessions {
		switch n, open := s.load(); {
		case !open:
			opening = true
		case best == nil, n < least:
			best, least = s, n
		}
	}
	if best == nil {
		return p.sessions[0], false
	}
	return best, !opening && least >= crowd && len(p.sessions) < sessionsAtMost() && time.Now().After(p.narrow)
}

// sessionsAtMost is how many sessions a pair has at most: one for each processor, because more
// would only gather less for each system call.
func sessionsAtMost() int { return min(runtime.GOMAXPROCS(0), mostSessions) }

// remove removes a session, if it is there, and reports whether that was the last one.
func (p *pair) remove(s *peer) (last bool) {
	p.sessions = slices.DeleteFunc(p.sessions, func(other *peer) bool { return other == s })
	return len(p.sessions) == 0
}

// load is how many connections s has and is asked for. It reports false before s is open.
func (s *peer) load() (n int, open bool) {
	select {
	case <-s.opened:
		return s.dialling + s.listener.Info().Streams, true
	default:
		return 0, false
	}
}
