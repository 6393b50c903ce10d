//go:build unix

package faulttest

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

const (
	// flood is how much a slow reader is sent, in bytes.
	flood = 48 << 20

	// stalled is how much may be under way to an end that does not read: the window of
	// each hop, which is wider than 256 KiB where the path is long, and what the kernel
	// holds.
	stalled = 8 << 20

	// heldBetween is how much more than before the replica in between may hold.
	heldBetween = 4 << 20
)

// A flow counts and hashes the bytes that pass.
type flow struct {
	n      atomic.Int64
	hash   hash.Hash
	random *rand.ChaCha8
}

func newFlow() *flow {
	return &flow{hash: sha256.New(), random: rand.NewChaCha8([32]byte{1})}
}

// send writes a flood, and its end.
func (f *flow) send(to transport.Conn) error {
	buf := make([]byte, 16<<10)
	for f.n.Load() < flood {
		f.random.Read(buf)
		n, err := to.Write(buf)
		f.n.Add(int64(n))
		f.hash.Write(buf[:n])
		if err != nil {
			return err
		}
	}
	return to.CloseWrite()
}

// receive reads so many bytes, or fewer if they end.
func (f *flow) receive(from io.Reader, most int64) error {
	n, err := io.Copy(f.hash, io.LimitReader(from, most))
	f.n.Add(n)
	return err
}

// stalls waits until no more comes, and returns how much has.
func (s *site) stalls(f *flow) int64 {
	s.t.Helper()
	before, since := int64(-1), time.Now()
	s.await("the writer is stopped", func() bool {
		if n := f.n.Load(); n != before {
			before, since = n, time.Now()
		}
		return before > 0 && time.Since(since) > beat
	})
	return before
}

// In TestSlowReader the other end of a connection through a replica does not read.
func TestSlowReader(t *testing.T) {
	s := newSite(t)
	a := s.replica("a")
	c := s.child("c")
	other := s.device("other", "other", c.replica)
	s.allFind(map[*device]*replica{other: c.replica})
	t.Run("who dialled", func(t *testing.T) { s.in(t).slowDialler(a, c, other) })
	t.Run("the client", func(t *testing.T) { s.in(t).slowClient(a, c, other) })
	t.Run("cut", func(t *testing.T) { s.in(t).cutWhileSlow(a, c) })
}

// in returns the site for a subtest.
func (s *site) in(t *testing.T) *site {
	of := *s
	of.t = t
	return &of
}

// slowDialler makes a client write more than the dialler reads.
func (s *site) slowDialler(a *replica, c *process, other *device) {
	t, sent, got := s.t, newFlow(), newFlow()
	wrote := make(chan error, 1)
	s.deviceUsing("writes", c.replica, func(conn transport.Conn) {
		defer conn.Close()
		wrote <- sent.send(conn)
	})
	conn := s.opens(a, "writes")
	defer conn.Close()
	before := c.memory()
	s.checkStall(sent, got, c, before)
	// When it has read fast, the windows are wide.
	if err := got.receive(conn, flood/3); err != nil {
		t.Fatal(err)
	}
	s.checkStall(sent, got, c, before)
	a.reaches(other, c.replica)
	if err := got.receive(conn, flood); err != nil {
		t.Errorf("read: %v", err)
	}
	if err := <-wrote; err != nil {
		t.Errorf("write: %v", err)
	}
	s.checkSame(sent, got)
}

// slowClient makes a client read nothing of what the dialler writes.
func (s *site) slowClient(a *replica, c *process, other *device) {
	t, sent, got := s.t, newFlow(), newFlow()
	most, read := make(chan int64), make(chan error, 1)
	s.deviceUsing("reads", c.replica, func(conn transport.Conn) {
		defer conn.Close()
		for n := range most {
			read <- got.receive(conn, n)
		}
	})
	defer close(most)
	conn := s.opens(a, "reads")
	defer conn.Close()
	before := c.memory()
	wrote := make(chan error, 1)
	go func() { wrote <- sent.send(conn) }()
	s.checkStall(sent, got, c, before)
	for _, n := range []int64{flood / 3, flood} {
		if n == flood {
			s.checkStall(sent, got, c, before)
			a.reaches(other, c.replica)
		}
		most <- n
		if err := <-read; err != nil {
			t.Errorf("read: %v", err)
		}
	}
	if err := <-wrote; err != nil {
		t.Errorf("write: %v", err)
	}
	s.checkSame(sent, got)
}

// cutWhileSlow loses the path between the replicas, or to the client, while there is more
// to come. Neither end takes that for the end.
func (s *site) cutWhileSlow(a *replica, c *process) {
	for name, lose := range map[string]func(d *device){
		"between replicas": func(*device) { c.others.Cut(backdialtest.Reset) },
		"to the client":    func(d *device) { d.link(c.replica).Cut(backdialtest.Reset) },
	} {
		sent, got := newFlow(), newFlow()
		wrote := make(chan error, 1)
		d := s.deviceUsing("lost", c.replica, func(conn transport.Conn) {
			defer conn.Close()
			wrote <- sent.send(conn)
		})
		conn := s.opens(a, "lost")
		if err := got.receive(conn, flood/8); err != nil {
			s.t.Fatal(err)
		}
		s.stalls(sent)
		lose(d)
		conn.SetReadDeadline(time.Now().Add(patience))
		if err := got.receive(conn, flood); err == nil || !errors.Is(err, mux.ErrReset) && !errors.Is(err, mux.ErrSessionEnded) {
			s.t.Errorf("%s: the read ended with %v after %d of %d bytes", name, err, got.n.Load(), flood)
		}
		if err := <-wrote; err == nil {
			s.t.Errorf("%s: the write of a client whose connection is cut has not failed", name)
		}
		conn.Close()
		d.close()
	}
}

// opens dials a client as soon as it is there.
func (s *site) opens(a *replica, id string) transport.Conn {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if err := a.Wait(ctx, id); err != nil {
		s.t.Fatal(err)
	}
	conn, err := a.Dial(ctx, id)
	if err != nil {
		s.t.Fatal(err)
	}
	return conn.(transport.Conn)
}

// checkStall waits until the writer is stopped, and expects little to be under way.
func (s *site) checkStall(sent, got *flow, c *process, before int64) {
	s.t.Helper()
	n := s.stalls(sent) - got.n.Load()
	held := c.memory() - before
	s.t.Logf("%d KiB are under way when the writer stops; the replica in between holds %d KiB more than before", n>>10, held>>10)
	if n > stalled || sent.n.Load() == flood {
		s.t.Errorf("%d bytes are under way to an end that does not read, want %d at most", n, stalled)
	}
	if held > heldBetween {
		s.t.Errorf("the replica in between holds %d bytes, want %d at most", held, heldBetween)
	}
}

func (s *site) checkSame(sent, got *flow) {
	s.t.Helper()
	if sent.n.Load() != flood || got.n.Load() != flood || string(sent.hash.Sum(nil)) != string(got.hash.Sum(nil)) {
		s.t.Errorf("%d bytes sent, %d read, or not the same", sent.n.Load(), got.n.Load())
	}
}
