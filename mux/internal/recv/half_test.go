package recv

import (
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func (s State) String() string {
	return [...]string{Open: "open", Finished: "finished", Failed: "failed", Discarding: "discarding"}[s]
}

// A pipe is a half and its supply.
type pipe struct {
	Half
	next  string // what AwaitLocked has, instead of waiting
	waits int    // calls of AwaitLocked
	taken int    // bytes
}

func newPipe(buffered string) *pipe {
	p := new(pipe)
	p.Init()
	p.put(buffered)
	return p
}

// put lets s arrive in the buffer.
func (p *pipe) put(s string) {
	p.Lock()
	defer p.Unlock()
	for len(s) > 0 {
		n := copy(p.SpaceLocked(len(s)), s)
		p.CommitLocked(n)
		s = s[n:]
	}
}

func (p *pipe) AwaitLocked(b []byte) int {
	p.waits++
	if p.next == "" {
		p.WaitLocked()
	}
	n := copy(b, p.next)
	p.next = p.next[n:]
	return n
}

func (p *pipe) TakenLocked(n int) { p.taken += n }

func (p *pipe) end(as State, err error) {
	p.Lock()
	defer p.Unlock()
	p.EndLocked(as, err)
}

func (p *pipe) setDeadline(t time.Time) error {
	p.Lock()
	defer p.Unlock()
	return p.SetDeadlineLocked(t)
}

func (p *pipe) Read(b []byte) (int, error) {
	p.Lock()
	defer p.Unlock()
	return p.ReadLocked(b, p)
}

// expect reads once, with a buffer of n bytes.
func (p *pipe) expect(t *testing.T, n int, want string, wantErr error) {
	t.Helper()
	b := make([]byte, n)
	n, err := p.Read(b)
	if got := string(b[:n]); got != want || err != wantErr {
		t.Errorf("Read returns %q, %v, want %q, %v", got, err, want, wantErr)
	}
}

// TestStates sends a half through all sequences of three ends. A table says to which
// state each leads.
func TestStates(t *testing.T) {
	ends := []State{Finished, Failed, Discarding}
	next := map[State]map[State]State{
		Open:       {Finished: Finished, Failed: Failed, Discarding: Discarding},
		Finished:   {Finished: Finished, Failed: Finished, Discarding: Discarding},
		Failed:     {Finished: Failed, Failed: Failed, Discarding: Discarding},
		Discarding: {Finished: Discarding, Failed: Discarding, Discarding: Discarding},
	}
	var try func(sequence []State)
	try = func(sequence []State) {
		t.Run(fmt.Sprint(sequence), func(t *testing.T) { tryStates(t, sequence, next) })
		if len(sequence) < 3 {
			for _, s := range ends {
				try(append(sequence[:len(sequence):len(sequence)], s))
			}
		}
	}
	try(nil)
}

func tryStates(t *testing.T, sequence []State, next map[State]map[State]State) {
	p := newPipe("rest")
	state, why := Open, error(nil)
	for i, as := range sequence {
		var err error
		if as != Finished {
			err = fmt.Errorf("end %d", i)
		}
		p.end(as, err)
		if to := next[state][as]; to != state || as == Discarding {
			state, why = to, err
		}
	}
	if p.StateLocked() != state || p.ErrLocked() != why {
		t.Fatalf("the state is %v, %v, want %v, %v", p.StateLocked(), p.ErrLocked(), state, why)
	}
	p.expect(t, 0, "", map[bool]error{true: why}[state == Discarding])
	if state != Discarding {
		p.expect(t, 2, "re", nil)
		p.expect(t, 9, "st", nil)
	}
	if p.MemoryLocked() != 0 {
		t.Errorf("%d bytes of memory are held", p.MemoryLocked())
	}
	switch state {
	case Open:
		p.next = "more"
		p.expect(t, 3, "mor", nil)
		p.expect(t, 3, "e", nil)
		if p.waits != 2 || p.taken != len("rest")+len("more") {
			t.Errorf("the supply is asked %d times, and %d bytes were taken", p.waits, p.taken)
		}
		return
	case Finished:
		p.expect(t, 1, "", io.EOF)
	default:
		p.expect(t, 1, "", why)
	}
	if p.waits != 0 {
		t.Errorf("the supply is asked %d times", p.waits)
	}
}

// TestReadIsWoken lets a Read wait for each event that may end it.
func TestReadIsWoken(t *testing.T) {
	why := errors.New("why")
	for name, test := range map[string]struct {
		wake    func(*pipe)
		want    string
		wantErr error
	}{
		"bytes":    {func(p *pipe) { p.put("it") }, "it", nil},
		"finished": {func(p *pipe) { p.end(Finished, nil) }, "", io.EOF},
		"failed":   {func(p *pipe) { p.end(Failed, why) }, "", why},
		"discards": {func(p *pipe) { p.end(Discarding, why) }, "", why},
		"deadline": {func(p *pipe) { p.setDeadline(time.Unix(1, 0)) }, "", os.ErrDeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPipe("")
				done := make(chan struct{})
				go func() {
					defer close(done)
					p.expect(t, 8, test.want, test.wantErr)
				}()
				synctest.Wait()
				test.wake(p)
				<-done
			})
		})
	}
}

// TestDeadline lets a deadline come, and move away.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe("rest")
		began := time.Now()
		p.setDeadline(began.Add(time.Second))
		if at := p.DeadlineLocked(); !at.Equal(began.Add(time.Second)) {
			t.Errorf("the deadline is %v, want a second after %v", at, began)
		}
		p.expect(t, 1, "r", nil)
		time.Sleep(time.Second)
		p.expect(t, 0, "", os.ErrDeadlineExceeded)
		p.expect(t, 1, "", os.ErrDeadlineExceeded) // although there is something
		p.setDeadline(time.Now().Add(time.Second))
		p.expect(t, 9, "est", nil)
		p.expect(t, 9, "", os.ErrDeadlineExceeded)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("Read ends after %v, want 2s", took)
		}
		p.end(Finished, nil)
		p.expect(t, 9, "", os.ErrDeadlineExceeded)
		if err := p.setDeadline(time.Time{}); err != nil || !p.DeadlineLocked().IsZero() {
			t.Errorf("without a deadline it is %v, and setting it returns %v", p.DeadlineLocked(), err)
		}
		p.expect(t, 9, "", io.EOF)
		p.end(Discarding, io.ErrClosedPipe)
		if err := p.setDeadline(time.Now()); err != io.ErrClosedPipe {
			t.Errorf("setting the deadline of a half that discards: %v, want why it does", err)
		}
	})
}

// TestArrivesTooLate lets bytes arrive that nobody reads any more.
func TestArrivesTooLate(t *testing.T) {
	p := newPipe("rest")
	p.Lock()
	defer p.Unlock()
	free := p.SpaceLocked(10)
	p.EndLocked(Discarding, io.ErrClosedPipe)
	p.CommitLocked(len(free))
	if p.BufferedLocked() != 0 || p.MemoryLocked() != 0 {
		t.Errorf("%d bytes are there to be read, in %d bytes of memory", p.BufferedLocked(), p.MemoryLocked())
	}
}
