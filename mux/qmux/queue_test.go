package qmux

import (
	"testing"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/writeloop"
)

// TestSmallWritesAreBounded makes many streams write a little at a time to a peer that
// does not read, and allows much: no more may wait for the carrier than for large writes,
// plus the room for small ones.
func TestSmallWritesAreBounded(t *testing.T) {
	leak.Check(t)
	s, peer := meet(t, dialSide, mux.Config{}, greetings())
	const streams = 20
	writing := make([]<-chan error, streams)
	for i := range writing {
		st := open(t, s)
		writing[i] = start(func() error {
			for buf := make([]byte, 1000); ; {
				if _, err := st.Write(buf); err != nil {
					return err
				}
			}
		})
	}
	until(t, "all of them wait", func() bool {
		s.Mu.Lock()
		defer s.Mu.Unlock()
		waiting := 0
		for _, st := range s.streams {
			if st.waits || st.sent == st.limit {
				waiting++
			}
		}
		return waiting == streams && s.writer.Stuck() > 0
	})
	s.Mu.Lock()
	if queued := s.out.queuedLocked(); queued > writeloop.LeastRoom+roomForSmall {
		t.Errorf("%d bytes are queued, want %d at most", queued, writeloop.LeastRoom+roomForSmall)
	}
	s.Mu.Unlock()
	peer.conn.Close()
	for _, w := range writing {
		await(t, "Write", w)
	}
}
