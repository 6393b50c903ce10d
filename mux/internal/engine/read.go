package engine

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/backdial/backdial/internal/powers"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/life"
	"github.com/backdial/backdial/mux/internal/recv"
)

// readBuffer is what an idle session holds for reading. Headers and small payloads pass
// through it; large payloads go from the carrier straight to their stream.
const readBuffer = 2 << 10

// readLoop takes frames from the carrier until the session ends, so no stream can block
// another. It waits for only two other things: for a peer that provokes answers to read
// some of them, and for memory. Streams that are read free memory; streams that are not
// are reset.
func (s *session) readLoop() {
	defer close(s.read)
	heard := &hearing{s: s}
	r := newReader(s.conn, heard)
	for {
		f, err := s.wire.Read(r.Reader)
		if err == nil {
			err = s.handle(f, r)
		}
		if err == nil {
			heard.sign(false)
			continue
		}
		s.Mu.Lock()
		closes := s.StateLocked() == life.Closing
		s.Mu.Unlock()
		switch {
		case closes: // Close ends the session when it is done
		case errors.Is(err, mux.ErrProtocol):
			s.violation(err)
		default:
			if err == io.EOF {
				s.answerEOF()
			}
			s.End(s.lost(err))
		}
		return
	}
}

// answerEOF ends this direction after the peer has ended its own. A Write that is under
// way means that the peer does not care.
func (s *session) answerEOF() {
	s.Mu.Lock()
	writing := s.writer.Busy()
	s.writer.Mute()
	s.Mu.Unlock()
	if c := powers.OfConn(s.conn).CloseWriter; c != nil && !writing {
		c.CloseWrite()
	}
}

// reader is the source of frames.
type reader struct {
	*bufio.Reader
	prompt powers.PromptReader // or nil
	heard  *hearing
}

func newReader(conn net.Conn, heard *hearing) *reader {
	return &reader{bufio.NewReaderSize(heard, readBuffer), powers.OfConn(conn).PromptReader, heard}
}

// ReadNow implements [recv.Source].
func (r *reader) ReadNow(p []byte) (n int) {
	switch {
	case r.Buffered() > 0:
		n, _ = r.Read(p)
	case r.prompt != nil:
		n = r.prompt.ReadNow(p)
		r.heard.add(n)
	}
	return n
}

// hearing reads from the carrier and notes signs of life: the beginning and end of a
// frame, and each KiB between. A few bytes in the middle of a frame do not count. If a
// length was corrupted on its way, everything that follows looks like part of one frame,
// and the peer's pings would keep a useless session alive.
type hearing struct {
	s     *session
	began bool // part of a frame has arrived
	more  int  // bytes of it since the last sign
}

func (h *hearing) Read(p []byte) (int, error) {
	n, err := h.s.conn.Read(p)
	h.add(n)
	return n, err
}

func (h *hearing) add(n int) {
	if h.more += n; !h.began || h.more >= 1<<10 {
		h.sign(true)
	}
}

func (h *hearing) sign(began bool) {
	h.s.Hear(h.more)
	h.began, h.more = began, 0
}

func (s *session) handle(f Frame, r *reader) error {
	switch f.Kind {
	case OnStream:
		return s.handleStream(f, r)
	case Ping:
		return s.handlePing(f.Value, r.Buffered() == 0)
	case GoAway:
		if f.Value != goAwayNormal {
			return fmt.Errorf("peer ends the session with code %d: it reports a protocol violation", f.Value)
		}
		s.Mu.Lock()
		defer s.Mu.Unlock()
		s.PeerLeavesLocked()
	case Pong:
		s.Mu.Lock()
		defer s.Mu.Unlock()
		s.AnsweredLocked(f.Value == s.pinged)
	case Message:
		return s.hearMessage(f.Length, r)
	case Idle: // only a sign of life
	}
	return nil
}

// handlePing answers a ping. If that is the last frame that has arrived, the reader writes
// the answer itself, as far as there is room, instead of waking the writer for it.
func (s *session) handlePing(value uint32, last bool) error {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.asked = value
	if last && s.replies == 0 { // so replyLocked does not wait, which nothing may while writing is held
		s.writer.Hold()
		defer s.writer.Release()
	}
	_, err := s.replyLocked(Frame{Kind: Pong, Value: value})
	return err
}

func (s *session) handleStream(f Frame, r *reader) error {
	st, err := s.updateStream(&f)
	if err != nil {
		return err
	}
	if f.Length > 0 {
		if err := s.receive(st, f, r); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF // a frame was cut short
			}
			return err
		}
	}
	if st == nil {
		return nil
	}
	if f.Flags&Fin != 0 {
		st.in.Lock()
		st.in.EndLocked(recv.Finished, nil)
		st.in.Unlock()
	}
	if f.Flags&(Reset|Stop) != 0 {
		st.abort(recv.Failed, fmt.Errorf("%s: %w", s.wire.Name(), mux.ErrReset)) // the peer reset it
	}
	return nil
}

// updateStream applies f to the sending half of its stream, and returns the stream, or
// nil if it is gone.
func (s *session) updateStream(f *Frame) (*stream, error) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if f.Flags&Open != 0 {
		if err := s.acceptLocked(f.ID); err != nil {
			return nil, err
		}
	}
	st := s.streams[f.ID]
	if st == nil {
		if s.opensLocally(f.ID) && f.ID >= s.nextID {
			return nil, fmt.Errorf("%w: frame for stream %d, which was never opened", mux.ErrProtocol, f.ID)
		}
		s.departedLocked(f.ID)
		return nil, nil
	}
	if f.Length > 0 {
		st.heardLocked()
	}
	if f.Flags&Fin != 0 {
		st.finReceived = true
		s.endedLocked(st)
	}
	s.acceptedLocked(st) // by Ack, or by any other frame in protocols without Ack
	if !st.addCreditLocked(f.Credit) {
		// The frame resets st as if it had said so.
		f.Flags |= Stop
	}
	return st, nil
}

// receive moves the payload of f to st, and discards what nobody wants.
func (s *session) receive(st *stream, f Frame, r *reader) error {
	left, wanted := f.Length, false
	if st != nil {
		var err error
		if left, wanted, err = st.receive(r, f.Length); err != nil {
			return err
		}
	}
	if _, err := r.Discard(left); err != nil || wanted {
		return err
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	return s.replyStrayLocked(f.ID)
}
