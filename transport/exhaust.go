package transport

import "math"

// exhausting has d replaced before the stream ids of its session are used up. It does not
// wait.
func (s *Server) exhausting(d *Dialer) {
	if s.holdSessions() {
		go func() {
			defer s.sessions.Done()
			d.replace()
		}()
	}
}

// replace asks the client to move, and drains the session when it has. A client that
// stays is dialled for as long as there are stream ids.
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
