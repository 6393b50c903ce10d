package transport

import "math"

// exhausting replaces d before its session runs out of stream ids. It does not block.
func (s *Server) exhausting(d *Dialer) {
	if s.holdSessions() {
		go func() {
			defer s.sessions.Done()
			d.replace()
		}()
	}
}

// replace asks the client to move, and drains the session when it has. The server dials a
// client that stays for as long as there are stream ids.
func (d *Dialer) replace() {
	ctx := d.session.mux.Context()
	if d.askToMove(d.drain.dialable, 0, math.MaxInt64, nil) {
		d.retire(ctx, true, nil, EndMoved)
		return
	}
	d.drain.asked.Store(false)
	<-d.drain.dialable.Done()
	d.drain.start(errDraining)
	d.session.mux.Shutdown(ctx)
}
