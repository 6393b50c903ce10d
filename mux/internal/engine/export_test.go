package engine

import "github.com/backdial/backdial/mux"

// An Account is the memory of a session.
type Account struct {
	Held     int // what it believes to hold of what has arrived, in bytes
	Buffered int // what the buffers of its streams do
	Excess   int // what streams have received beyond their windows, in bytes
	Grown    int // what it believes that windows have grown, in bytes
	Queued   int // for the carrier, in bytes
	FromPeer int // streams that the peer opened and the user has not closed
	Waiting  int // of these, how many wait to be accepted
}

// AccountOf looks into a session at rest.
func AccountOf(of mux.Session) (a Account) {
	s := of.(*session)
	s.Mu.Lock()
	live := protocol{s}.LiveLocked()
	a.Queued = s.queuedLocked()
	a.FromPeer, a.Waiting = s.FromPeerLocked()
	s.Mu.Unlock()
	for _, st := range live {
		st.in.Lock()
		a.Buffered += st.in.MemoryLocked()
		a.Excess += int(max(st.in.ReceivedLocked(), st.in.AllowedLocked()) - st.in.AllowedLocked())
		st.in.Unlock()
	}
	a.Held, a.Grown = int(s.budget.Windows.Held.Load()), int(s.budget.Windows.Grown())
	return a
}

// Reserve is how many streams a session can still open when it calls OnExhausting.
const Reserve = reserve

// LeaveIDs leaves ids for n more streams.
func LeaveIDs(of mux.Session, n uint32) {
	s := of.(*session)
	s.Mu.Lock()
	defer s.Mu.Unlock()
	last := maxID - (uint32(s.side)+1)%2
	s.nextID = last - 2*(n-1)
}
