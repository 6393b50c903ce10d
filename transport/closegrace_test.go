package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// grace is how long connections go on by default.
const grace = 5 * time.Second

// TestCloseLetsRunningFinish closes a listener while a connection is in use: nothing is
// accepted any more, and that connection goes on.
func TestCloseLetsRunningFinish(t *testing.T) {
	for _, m := range []mux.Muxer{yamuxmux.New(), smuxmux.New(), qmux.New()} {
		t.Run(m.Name(), func(t *testing.T) {
			reconnects(t, func(t *testing.T, s *site) {
				s.deploy(t, transport.WithMuxes(m))
				lis, told := s.listen(t, transport.Backoff{}, transport.WithMuxes(m))
				d := <-s.dialers
				far := dialled(t, d, "running")
				near := accepted(t, lis, "running")
				accepting := make(chan error, 1)
				go func() { _, err := lis.Accept(); accepting <- err }()
				synctest.Wait()
				began := time.Now()
				for range 3 { // it may be repeated
					if err := lis.Close(); err != nil {
						t.Error("close:", err)
					}
				}
				if err := <-accepting; !errors.Is(err, net.ErrClosed) {
					t.Errorf("an Accept that waited: %v, want net.ErrClosed", err)
				}
				if _, err := lis.Accept(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("accept: %v, want net.ErrClosed", err)
				}
				if _, err := d.Dial(); !errors.Is(err, transport.ErrDraining) {
					t.Errorf("dial: %v, want transport.ErrDraining", err)
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("it took %v", took)
				}
				time.Sleep(grace - time.Second)
				io.WriteString(far, "and on")
				if _, err := io.ReadFull(near, make([]byte, 6)); err != nil {
					t.Error("the connection in use:", err)
				}
				io.WriteString(near, "answer")
				near.Close()
				if got, err := io.ReadAll(far); string(got) != "answer" || err != nil {
					t.Errorf("read %q, %v, want all of the answer", got, err)
				}
				far.Close()
				<-lis.Done()
				<-d.Done()
				if n := s.count(); n != 1 {
					t.Errorf("the client connected %d times", n)
				}
				if got, want := told.states(), []transport.State{connected, draining, ended}; !slices.Equal(got, want) {
					t.Errorf("states %v, want %v", got, want)
				}
			})
		})
	}
}

// TestCloseGrace closes listeners whose connection is not closed: it is cut in time.
func TestCloseGrace(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for _, test := range []struct {
		name  string
		opts  []transport.ClientOption
		close func(*transport.Listener)
		after time.Duration
	}{
		{"by default", nil, func(l *transport.Listener) { l.Close() }, grace},
		{"longer", []transport.ClientOption{transport.WithCloseGrace(time.Minute)}, func(l *transport.Listener) { l.Close() }, time.Minute},
		{"none", []transport.ClientOption{transport.WithCloseGrace(-1)}, func(l *transport.Listener) { l.Close() }, 0},
		{"again", nil, func(l *transport.Listener) { l.Close(); time.Sleep(time.Second); l.Close() }, grace},
		{"at once", nil, func(l *transport.Listener) {
			var together sync.WaitGroup
			for range 10 {
				together.Go(func() { l.Close() })
			}
			together.Wait()
		}, grace},
		{"and then cut", nil, func(l *transport.Listener) { l.Close(); l.Shutdown(ended) }, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			reconnects(t, func(t *testing.T, s *site) {
				lis, _ := s.listen(t, transport.Backoff{}, test.opts...)
				d := <-s.dialers
				far := dialled(t, d, "running")
				near := accepted(t, lis, "running")
				began := time.Now()
				test.close(lis)
				if test.after == 0 && lis.Err() == nil {
					t.Error("the listener has not ended when the call that cuts it returns")
				}
				if _, err := near.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
					t.Errorf("read: %v, want net.ErrClosed", err)
				}
				if _, err := far.Read(make([]byte, 1)); !errors.Is(err, mux.ErrSessionEnded) {
					t.Errorf("read on the server: %v, want mux.ErrSessionEnded", err)
				}
				<-lis.Done()
				<-d.Done()
				if why := transport.EndReasonOf(d.Err()); test.name != "and then cut" && why == transport.EndLost {
					t.Errorf("the server takes the session for lost: %v", d.Err())
				}
				if took := time.Since(began); took < test.after || took > test.after+time.Second {
					t.Errorf("the session ended after %v, want %v", took, test.after)
				}
				if err := lis.Err(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("error %v, want net.ErrClosed", err)
				}
			})
		})
	}
}

// TestCloseCuts closes a listener whose Close cuts connections: it does not take leave.
func TestCloseCuts(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		lis, told := s.listen(t, transport.Backoff{}, transport.WithCloseGrace(-1))
		d := <-s.dialers
		dialled(t, d, "running")
		accepted(t, lis, "running")
		lis.Close()
		<-d.Done()
		if err := context.Cause(d.Dialable()); errors.Is(err, transport.ErrDraining) {
			t.Errorf("dialable until %v, want the end of the session", err)
		}
		if got, want := told.states(), []transport.State{connected, ended}; !slices.Equal(got, want) {
			t.Errorf("states %v, want %v", got, want)
		}
	})
}

// TestCloseRefusesWaiting closes a listener that has connections to be accepted: they end.
func TestCloseRefusesWaiting(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		lis, _ := s.listen(t, transport.Backoff{})
		d := <-s.dialers
		running := dialled(t, d, "running")
		near := accepted(t, lis, "running")
		waiting := dialled(t, d, "waiting")
		synctest.Wait()
		lis.Close()
		if _, err := waiting.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("read on a connection that nobody has accepted: %v, want an error", err)
		}
		near.Close()
		running.Close()
		<-lis.Done()
	})
}
