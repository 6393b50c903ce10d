package life

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/mux"
)

// A paper protocol sends nothing: it notes its calls. Its streams are numbers.
type paper struct {
	Session[int]
	room  int // streams that may still be opened
	asked int // calls of MayOpenLocked
	pings int // calls of PingLocked
	live  []int

	library bool // its peers may be of a library that answers no pings
	calls   []string
}

func newPaper(config mux.Config) *paper {
	config.KeepAlive = -1
	p := new(paper)
	p.Init("paper", p, config)
	return p
}

func (p *paper) note(format string, args ...any) {
	p.calls = append(p.calls, fmt.Sprintf(format, args...))
}

func (p *paper) MayOpenLocked() (bool, error) { p.asked++; return p.room > 0, nil }

func (p *paper) OpenLocked(context.Context) (int, error) {
	p.room--
	p.live = append(p.live, len(p.live))
	return len(p.live) - 1, nil
}

func (p *paper) MayAcceptLocked() bool   { return true }
func (p *paper) AcceptedLocked(st int)   { p.live = append(p.live, st) }
func (p *paper) PingLocked()             { p.pings++ }
func (p *paper) AskLocked()              { p.PingLocked() }
func (p *paper) MustAnswerLocked() bool  { return !p.library || p.HasAnsweredLocked() }
func (p *paper) StuckLocked() error      { return nil }
func (p *paper) LeaveLocked()            { p.note("LeaveLocked") }
func (p *paper) Refuse(st int, _ error)  { p.note("Refuse %d", st) }
func (p *paper) LiveLocked() []int       { return slices.Clone(p.live) }
func (p *paper) Abort(st int, _ error)   { p.note("Abort %d", st) }
func (p *paper) Farewell(l []int)        { p.note("Farewell %v", l) }
func (p *paper) WakeLocked()             {}
func (p *paper) EndedLocked()            { p.note("EndedLocked") }
func (p *paper) Cut(live []int, _ error) { p.note("Cut %v", live) }

// allow makes room for n streams more.
func (p *paper) allow(n int) {
	p.Mu.Lock()
	defer p.Mu.Unlock()
	p.room += n
	p.WakeOpenLocked()
}

// arrive lets the peer open a stream.
func (p *paper) arrive(st int) {
	p.Mu.Lock()
	defer p.Mu.Unlock()
	p.ArrivedLocked(st)
}

// close closes a stream, as its user does.
func (p *paper) close(st int) {
	p.Mu.Lock()
	defer p.Mu.Unlock()
	p.live = slices.DeleteFunc(p.live, func(other int) bool { return other == st })
	p.ClosedLocked(false)
}

// TestOrder ends sessions in each way. The protocol's methods must be called in the
// promised order.
func TestOrder(t *testing.T) {
	lost := errors.New("the carrier is gone")
	for _, test := range []struct {
		name  string
		end   func(p *paper)
		calls []string
		cause error
	}{
		{"Close", func(p *paper) { p.Close() },
			[]string{"LeaveLocked", "Abort 0", "Abort 7", "Farewell [0 7]", "EndedLocked", "Cut [0 7]"}, net.ErrClosed},
		{"End", func(p *paper) { p.End(lost); p.End(net.ErrClosed) },
			[]string{"EndedLocked", "Cut [0 7]"}, lost},
		{"Condemn", func(p *paper) { p.Condemn(lost); p.End(net.ErrClosed) },
			[]string{"EndedLocked", "Cut [0 7]"}, lost},
		{"EndWhileClosing", func(p *paper) { go p.Close(); synctest.Wait(); p.End(lost) },
			[]string{"LeaveLocked", "Abort 0", "Abort 7", "Farewell [0 7]", "EndedLocked", "Cut [0 7]"}, net.ErrClosed},
		{"Shutdown", func(p *paper) {
			go func() { time.Sleep(time.Second); p.close(0); p.close(7) }()
			p.Shutdown(context.Background())
		}, []string{"LeaveLocked", "Refuse 8", "Farewell []", "EndedLocked", "Cut []"}, net.ErrClosed},
		{"ShutdownCut", func(p *paper) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			p.Shutdown(ctx)
		}, []string{"LeaveLocked", "Refuse 8", "Abort 0", "Abort 7", "EndedLocked", "Cut [0 7]"}, net.ErrClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPaper(mux.Config{})
				p.allow(1)
				if _, err := p.Open(t.Context()); err != nil {
					t.Fatal(err)
				}
				p.arrive(7)
				if st, err := p.Accept(t.Context()); st != 7 || err != nil {
					t.Fatal(st, err)
				}
				p.arrive(8)
				test.end(p)
				<-p.Context().Done()
				if !slices.Equal(p.calls, test.calls) {
					t.Errorf("the protocol is told %q, want %q", p.calls, test.calls)
				}
				if cause := context.Cause(p.Context()); !errors.Is(cause, test.cause) {
					t.Errorf("cause %v, want %v", cause, test.cause)
				}
			})
		})
	}
}

// TestStatesFollowEachOther tries every change of the state.
func TestStatesFollowEachOther(t *testing.T) {
	for from := Serving; from <= Ended; from++ {
		for to := Serving; to <= Ended; to++ {
			p := newPaper(mux.Config{})
			p.state = from
			if changed := p.setLocked(to); changed != (to > from) || p.state != max(from, to) {
				t.Errorf("from %d to %d: %v, and then it is %d", from, to, changed, p.state)
			}
		}
	}
}

// TestOpenOneByOne lets many callers wait for room. Each new room must wake one of them,
// and anything else none.
func TestOpenOneByOne(t *testing.T) {
	const callers, news = 3000, 1000
	synctest.Test(t, func(t *testing.T) {
		p := newPaper(mux.Config{})
		opened := make(chan error, callers)
		for range callers {
			go func() { _, err := p.Open(context.Background()); opened <- err }()
		}
		synctest.Wait()
		p.asked = 0
		for range news {
			p.allow(0)
			synctest.Wait()
		}
		if p.asked > news {
			t.Errorf("%d calls of MayOpenLocked for %d times nothing", p.asked, news)
		}
		for want := 1; want < callers/2; want *= 3 {
			p.allow(want)
			synctest.Wait()
			if got := len(opened); got != want {
				t.Fatalf("%d of %d callers open a stream, want %d", got, callers, want)
			}
			for range want {
				if err := <-opened; err != nil {
					t.Error(err)
				}
			}
		}
		p.Close()
		synctest.Wait()
		if len(opened) == 0 {
			t.Error("nobody waits any more")
		}
		for range len(opened) {
			if err := <-opened; !errors.Is(err, net.ErrClosed) {
				t.Errorf("after Close: %v, want net.ErrClosed", err)
			}
		}
	})
}

// TestOpenPassesItsTurnOn lets a caller give up just when it is its turn: another must
// get the room.
func TestOpenPassesItsTurnOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPaper(mux.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { _, err := p.Open(ctx); first <- err }()
		synctest.Wait()
		go func() { _, err := p.Open(t.Context()); second <- err }()
		synctest.Wait()
		p.Mu.Lock()
		cancel()
		p.room = 1
		p.WakeOpenLocked()
		p.Mu.Unlock()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("the first: %v, want context.Canceled", err)
		}
		if err := <-second; err != nil {
			t.Errorf("the second: %v", err)
		}
		p.Close()
	})
}

// TestLost lets a carrier end a session, because the peer is gone or for another reason.
func TestLost(t *testing.T) {
	p := newPaper(mux.Config{})
	for _, test := range []struct {
		cause  error
		silent bool
	}{
		{&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ETIMEDOUT)}, true},
		{fmt.Errorf("%w: nothing heard", mux.ErrSilent), true},
		{&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, false},
		{mux.ErrClosedByPeer, false},
	} {
		err := p.Lost(test.cause)
		if errors.Is(err, mux.ErrSilent) != test.silent || !errors.Is(err, test.cause) || !errors.Is(err, mux.ErrSessionEnded) {
			t.Errorf("%v becomes %v, want mux.ErrSessionEnded, and mux.ErrSilent: %v", test.cause, err, test.silent)
		}
	}
}
