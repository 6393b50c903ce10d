package recv

import (
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// A taker is a writer that takes its argument when the test says with which result.
type taker chan error

func (w taker) Write(p []byte) (int, error) {
	if err := <-w; err != nil {
		return 0, err
	}
	return len(p), nil
}

// TestLending reads beside a WriteTo: Read must wait for the lent bytes, and get them
// only if the WriteTo could not pass them on.
func TestLending(t *testing.T) {
	for name, test := range map[string]struct {
		taken   error
		read    int
		readErr error
	}{
		"passed on": {nil, 0, io.EOF},
		"returned":  {io.ErrClosedPipe, 3, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(mib, false)
				st := s.open()
				st.fill(3)
				w := make(taker)
				written, read := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(written)
					if _, err := st.WriteTo(w); err != test.taken {
						t.Errorf("WriteTo returns %v, want %v", err, test.taken)
					}
				}()
				synctest.Wait()
				go func() {
					defer close(read)
					n, err := st.Read(make([]byte, minInto))
					if n != test.read || err != test.readErr {
						t.Errorf("Read returns %d, %v, want %d, %v", n, err, test.read, test.readErr)
					}
				}()
				synctest.Wait()
				select {
				case <-read:
					t.Error("Read did not wait for what a WriteTo passes on")
				default:
				}
				w <- test.taken
				if test.taken != nil {
					<-read // at once
				}
				synctest.Wait()
				st.Lock()
				st.EndLocked(Finished, nil)
				st.Unlock()
				<-written
				<-read
				if held := s.budget.Windows.Held.Load(); held != 0 {
					t.Errorf("%d bytes are held that have been read", held)
				}
				s.budget.Close()
			})
		})
	}
}

// A distant site has a peer for which windows grow.
type distant struct{ *site }

func (distant) Shortest() time.Duration { return 10 * time.Millisecond }

// TestEndsShrinkWindow lets a window grow, and ends the stream in each way. Other streams
// must get the window back, and the peer no more credit.
func TestEndsShrinkWindow(t *testing.T) {
	for as := Finished; as <= Discarding; as++ {
		t.Run(as.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(64*mib, false)
				s.budget.session = distant{s}
				st := s.open()
				for range 10 {
					st.fill(256 * kib)
					io.ReadFull(st, make([]byte, 256*kib))
					time.Sleep(10 * time.Millisecond)
				}
				if s.budget.Windows.Grown() == 0 {
					t.Fatal("the window has not grown")
				}
				allowed := st.AllowedLocked()
				st.fill(int(allowed - st.ReceivedLocked()))
				st.Lock()
				st.EndLocked(as, io.ErrUnexpectedEOF)
				st.Unlock()
				if grown := s.budget.Windows.Grown(); grown != 0 {
					t.Errorf("a stream that has ended keeps %d bytes of its window", grown)
				}
				io.Copy(io.Discard, st)
				if more := st.AllowedLocked() - allowed; more != 0 {
					t.Errorf("the peer may send %d bytes more after the end", more)
				}
				if held := s.budget.Windows.Held.Load(); held != 0 {
					t.Errorf("%d bytes are held after the end", held)
				}
				s.budget.Close()
			})
		})
	}
}

// ready returns any number of bytes, at once.
type ready struct{ source }

func (ready) ReadNow(p []byte) int { return len(p) }

// TestHandOver expects a Read that waits with a large buffer to get what arrives without
// a detour, unlike one with a small buffer.
func TestHandOver(t *testing.T) {
	for size, buffered := range map[int]int{minInto: 0, minInto - 1: 1} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(mib, false)
			st := s.open()
			done := make(chan struct{})
			go func() {
				defer close(done)
				if n, err := st.Read(make([]byte, size)); n != size || err != nil {
					t.Errorf("Read of %d bytes returns %d, %v", size, n, err)
				}
			}()
			synctest.Wait()
			st.Lock()
			st.FillLocked(ready{}, minInto)
			if got := st.BufferedLocked(); got != buffered*minInto {
				t.Errorf("%d bytes are in the buffer while a Read of %d waits", got, size)
			}
			st.Unlock()
			<-done
			st.Lock()
			if got := st.ConsumedLocked(); got != uint64(size) {
				t.Errorf("%d bytes count as read, of %d", got, size)
			}
			st.Unlock()
			st.Abandon(io.ErrClosedPipe)
			s.budget.Close()
		})
	}
}
