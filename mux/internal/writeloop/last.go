package writeloop

import (
	"time"

	"github.com/backdial/backdial/internal/powers"
)

// WriteLast writes what there is, and then nothing more. It tells the peer that nothing
// follows, and reports whether the connection could say that: then there is something to
// wait for. Nobody else is writing ([Loop.Busy]). It has unlocked the lock meanwhile.
func (l *Loop) WriteLast() (said bool) {
	if l.mute || l.session.Over() {
		l.Mute()
		return false
	}
	l.writing = true
	b, ok := l.take()
	l.start = time.Now()
	l.mu.Unlock()
	said, err := l.last(b, ok)
	l.mu.Lock()
	l.start = time.Time{}
	l.writing, l.more = false, false
	l.written(err)
	l.Mute()
	l.session.Flushed()
	return said
}

// last writes b, if there is one, and says that nothing follows.
func (l *Loop) last(b Batch, ok bool) (said bool, err error) {
	if ok && l.messages != nil {
		defer b.Release()
		err := l.messages.WriteLast(b.Messages()...)
		return err == nil, err
	}
	if ok {
		if _, err := l.write(b); err != nil {
			return false, err
		}
	}
	c := powers.OfConn(l.conn).CloseWriter
	return c != nil && c.CloseWrite() == nil, nil
}
