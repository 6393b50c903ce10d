package engine

import "github.com/backdial/backdial/mux"

// An Account is what a session holds.
type Account struct {
	Held     int // what it believes to hold of what has arrived, in bytes
	Buffered int // what the buffers of its streams do
	Excess   int // what streams have received beyond their windows, in bytes
	Grown    int // what it believes that windows have grown, in bytes
	Queued   int // for the carrier, in bytes
	FromPeer int // streams that the peer opened and the user has not closed
	Waiting  int // of them, those that were not accepted
}

// AccountOf looks into a session at rest.
func AccountOf(session mux.Session) (a Account) {
	s := session.(*Session)
	s.mu.Lock()
	live := s.liveLocked()
	a.Queued, a.FromPeer, a.Waiting = s.queuedLocked(), s.fromPeer, len(s.accepts)
	s.mu.Unlock()
	for _, st := range live {
		st.mu.Lock()
		a.Buffered += st.buffer.Memory()
		a.Excess += int(max(st.received, st.allowed) - st.allowed)
		st.mu.Unlock()
	}
	a.Held, a.Grown = int(s.windows.Held.Load()), int(s.windows.Grown())
	return a
}
