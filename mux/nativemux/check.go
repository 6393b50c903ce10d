package nativemux

import "github.com/backdial/backdial/mux/internal/recv"

// Check implements [mux.Checker]. A reset overtakes earlier data, so the carrier may know
// of it although the stream has not been read that far.
func (st *stream) Check() error {
	st.in.Lock()
	defer st.in.Unlock()
	if st.in.StateLocked() == recv.Open && st.mayAskLocked() {
		_, err := st.cs.Read(nil) // does not wait
		st.arrivedLocked(0, err)
		st.reportEndLocked()
	}
	return st.in.ErrLocked()
}

// mayAskLocked reports whether nobody is in cs.Read, who would notice the end.
func (st *stream) mayAskLocked() bool { return !st.reading && (!st.pumped || st.stalled) }
