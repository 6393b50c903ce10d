package muxtest_test

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/backdial/backdial/mux"
	. "github.com/backdial/backdial/mux/muxtest"
)

func init() { faults = append(faults, leavesFaults...) }

var leavesFaults = []fault{{
	name: "LeavesLater",
	muxer: faulty(func(sound start) start {
		return func(conn net.Conn, config mux.Config) (mux.Session, error) {
			return sound(newLagging(conn.(halfCloser)), config)
		}
	}),
	breaks: []Promise{Leaves},
	only:   Leaves, // others wait until it has arrived
}, {
	name:   "EndLeavesLater",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return endsLater{st} }),
	breaks: []Promise{Leaves},
	only:   Leaves, // in others it is a matter of time
}, {
	name:   "UnsentIsNotTold",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return optimist{st} }),
	breaks: []Promise{Leaves},
	only:   Leaves, // nobody else asks
}, {
	name:   "UnsentOneAfterTheOther",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return queueing{st} }),
	breaks: []Promise{Leaves},
	only:   Leaves, // nobody else waits so often
}, {
	name:   "UnsentGivesUpAtOnce",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return &impatient{Stream: st} }),
	breaks: []Promise{Leaves},
	only:   Leaves, // nobody else asks
}, {
	name:   "UnsentIgnoresDeadline",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return deaf{st} }),
	breaks: []Promise{Leaves},
	only:   Leaves, // nobody else asks
}}

// A lagging connection is written by a goroutine, a little later.
type lagging struct {
	halfCloser
	mu      sync.Mutex // held while something is written
	pending sync.WaitGroup
}

func newLagging(conn halfCloser) *lagging { return &lagging{halfCloser: conn} }

func (c *lagging) Write(p []byte) (int, error) {
	p = append([]byte(nil), p...)
	c.pending.Wait()
	c.pending.Go(func() {
		time.Sleep(5 * time.Millisecond)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.halfCloser.Write(p)
	})
	return len(p), nil
}

func (c *lagging) CloseWrite() error {
	c.pending.Wait()
	return c.halfCloser.CloseWrite()
}

// endsLater ends a stream after the call has returned.
type endsLater struct{ mux.Stream }

func (st endsLater) Close() error {
	time.AfterFunc(5*time.Millisecond, func() { st.Stream.Close() })
	return nil
}

// optimist takes what has not left for sent.
type optimist struct{ mux.Stream }

func (st optimist) Close() error {
	if err := st.Stream.Close(); !errors.Is(err, mux.ErrUnsent) {
		return err
	}
	return nil
}

// queueing waits for each stream anew.
type queueing struct{ mux.Stream }

func (st queueing) Close() error {
	err := st.Stream.Close()
	if errors.Is(err, mux.ErrUnsent) {
		time.Sleep(time.Second / 2)
	}
	return err
}

// impatient does not wait for a stuck carrier.
type impatient struct{ mux.Stream }

func (st *impatient) Write(p []byte) (int, error) {
	if string(p) == "late" {
		return len(p), nil
	}
	return st.Stream.Write(p)
}

func (st *impatient) end(end func() error) error {
	done := make(chan error, 1)
	go func() { done <- end() }()
	select {
	case err := <-done:
		return err
	case <-time.After(50 * time.Millisecond):
		return mux.ErrUnsent
	}
}

func (st *impatient) Close() error      { return st.end(st.Stream.Close) }
func (st *impatient) CloseWrite() error { return st.end(st.Stream.CloseWrite) }

// deaf ignores deadlines once it has ended.
type deaf struct{ mux.Stream }

func (st deaf) SetWriteDeadline(time.Time) error { return nil }
