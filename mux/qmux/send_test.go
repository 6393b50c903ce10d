package qmux

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/deadline"
)

// blockWrite makes a Write of 20 bytes wait, after 10 of them, for credit of the stream
// or of the connection. The frame gives that credit.
func blockWrite(t *testing.T, limit string) (st *stream, p *puppet, writing <-chan error, credit frame) {
	t.Helper()
	limits := greetings()
	if limit == "stream" {
		limits.initialMaxStreamDataBidiRemote = 10
		credit = frame{typ: frameMaxStreamData, id: 1, max: 1 << 20}
	} else {
		limits.initialMaxData = 10
		credit = frame{typ: frameMaxData, max: 1 << 20}
	}
	s, p := meet(t, dialSide, mux.Config{KeepAlive: -1}, limits)
	t.Cleanup(func() { p.conn.Close() })
	st = open(t, s)
	writing = start(func() error {
		n, err := st.Write(make([]byte, 20))
		if err != nil && n != 10 {
			t.Errorf("a Write of which 10 bytes were sent says %d", n)
		}
		return err
	})
	for f := (frame{}); f.length == 0; { // the stream may be announced before
		f, _ = p.hear()
	}
	return st, p, writing, credit
}

// TestCreditWakesWrite gives credit of the stream and of the connection.
func TestCreditWakesWrite(t *testing.T) {
	for _, limit := range []string{"stream", "connection"} {
		t.Run(limit, func(t *testing.T) {
			leak.Check(t)
			_, p, writing, credit := blockWrite(t, limit)
			p.say(encode(credit))
			p.wants(frame{typ: frameStream, id: 1, offset: 10, length: 10})
			if err := await(t, "Write", writing); err != nil {
				t.Error("write:", err)
			}
		})
	}
}

// TestNothingAfterDeadline expects nothing more to be sent of a Write that has ended, or
// whose deadline has passed, when there is credit.
func TestNothingAfterDeadline(t *testing.T) {
	for _, limit := range []string{"stream", "connection"} {
		for _, returned := range []bool{false, true} {
			t.Run(limit, func(t *testing.T) {
				leak.Check(t)
				st, p, writing, credit := blockWrite(t, limit)
				late := func() {
					t.Helper()
					if err := await(t, "Write", writing); !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("write: %v, want os.ErrDeadlineExceeded", err)
					}
				}
				if returned {
					st.SetWriteDeadline(time.Now())
					late()
					st.SetWriteDeadline(time.Time{})
					p.say(encode(credit))
					until(t, "there is credit", func() bool {
						st.s.Mu.Lock()
						defer st.s.Mu.Unlock()
						return st.limit > 10 && st.s.out.maxData > 10
					})
				} else { // both at once
					st.s.Mu.Lock()
					st.writeDeadline.Set(time.Now(), deadline.OnCond(&st.writable))
					if limit == "stream" {
						st.s.addCreditLocked(st, credit.max)
					} else {
						st.s.out.maxData = credit.max
						st.s.fillLocked()
					}
					st.s.Mu.Unlock()
					late()
				}
				st.SetWriteDeadline(time.Time{})
				if err := st.CloseWrite(); err != nil {
					t.Error("close write:", err)
				}
				p.wants(frame{typ: frameStream, id: 1, offset: 10, fin: true})
			})
		}
	}
}

// A slowPrompt takes a second for a write at once.
type slowPrompt struct{ net.Conn }

func (slowPrompt) Protocol() string { return "" }
func (slowPrompt) Flush() error     { return nil }

func (c slowPrompt) WriteNow(messages ...[]byte) (kept bool, err error) {
	time.Sleep(time.Second)
	for _, m := range messages {
		if _, err := c.Write(m); err != nil {
			return false, err
		}
	}
	return false, nil
}

// openSlow opens a stream on a session whose carrier is a slowPrompt. The peer takes everything.
// Close of the session ends all.
func openSlow(t *testing.T) (*session, *stream) {
	ours, theirs := net.Pipe()
	go func() {
		io.Copy(io.Discard, theirs)
		theirs.Close()
	}()
	s := newSession(draft02, slowPrompt{ours}, dialSide, mux.Config{KeepAlive: -1})
	(&puppet{t: t, w: theirs}).say(parametersFrame(greetings()))
	return s, open(t, s)
}

// TestWritersTakeTurns makes one Write wait for another, which has sent everything and is
// writing it to the carrier.
func TestWritersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, st := openSlow(t)
		synctest.Wait()
		write := func() error { _, err := st.Write(make([]byte, 32<<10)); return err }
		first := start(write)
		synctest.Wait()
		second := start(write)
		for _, writing := range []<-chan error{first, second} {
			if err := await(t, "Write", writing); err != nil {
				t.Error("write:", err)
			}
		}
		s.Close()
	})
}

// TestEndAfterLargeBatch closes a stream when so much waits for the carrier that the end of the
// stream has to wait for the next batch. Nothing else starts another write.
func TestEndAfterLargeBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, st := openSlow(t)
		time.Sleep(time.Minute)
		s.Mu.Lock()
		b := s.batchLocked()
		b.buf = append(b.buf, make([]byte, maxBatch+1)...)
		s.Mu.Unlock()
		if err := st.CloseWrite(); err != nil {
			t.Error("close write:", err)
		}
		s.Close()
	})
}
