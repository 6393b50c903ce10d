package engine

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/backdial/backdial/internal/shed"
	"github.com/backdial/backdial/mux"
)

// readBuffer is what an idle session holds for reading. Headers and small
// payloads pass through it; large ones go from the carrier to their stream.
const readBuffer = 2 << 10

// readLoop takes frames from the carrier until the session ends. It waits for
// nothing else, so no stream can hold up another, but for one thing: that a
// peer which provokes answers reads some.
func (s *Session) readLoop() {
	defer close(s.read)
	heard := &hearing{s: s}
	r := bufio.NewReaderSize(heard, readBuffer)
	for {
		f, err := s.wire.Read(r)
		if err == nil {
			err = s.handle(f, r)
		}
		if err == nil {
			heard.sign(false)
			continue
		}
		s.mu.Lock()
		closing := s.closing
		s.mu.Unlock()
		switch {
		case closing: // Close ends the session when it is done
		case errors.Is(err, mux.ErrProtocol):
			s.violation(err)
		default:
			if err == io.EOF {
				s.answerEOF()
			}
			s.end(s.lost(err))
		}
		return
	}
}

// answerEOF says goodbye to a peer that has: what it writes no more, this end
// does not either. A Write that is under way means that the peer does not care.
func (s *Session) answerEOF() {
	s.mu.Lock()
	writing := s.writer.Busy()
	s.writer.Mute()
	s.mu.Unlock()
	if !writing {
		s.closeWrite()
	}
}

// hearing reads the carrier and notes signs of life: that a frame begins, goes on by a
// KiB, or ends. A few bytes in the middle of one are none. Where a length was corrupted
// on its way, all that follows is taken for a part of one frame, and the peer's pings
// would keep a session alive that is good for nothing.
type hearing struct {
	s     *Session
	began bool // something of a frame has arrived
	more  int  // bytes of it since the last sign
}

func (h *hearing) Read(p []byte) (int, error) {
	n, err := h.s.conn.Read(p)
	if h.more += n; !h.began || h.more >= 1<<10 {
		h.sign(true)
	}
	return n, err
}

func (h *hearing) sign(began bool) {
	h.began, h.more = began, 0
	h.s.heard.Add(1)
}

func (s *Session) handle(f Frame, r *bufio.Reader) error {
	switch f.Kind {
	case OnStream:
		return s.handleStream(f, r)
	case Ping:
		s.mu.Lock()
		defer s.mu.Unlock()
		_, err := s.replyLocked(Frame{Kind: Pong, Value: f.Value})
		return err
	case GoAway:
		if f.Value != goAwayNormal {
			return fmt.Errorf("peer ends the session with code %d: it takes something for a protocol violation", f.Value)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.peerLeaves = true
		s.opening.Broadcast()
	case Pong:
		s.answered(f.Value)
	case Message:
		return s.hearMessage(f.Length, r)
	case Idle: // which is a sign of life, and nothing else
	}
	return nil
}

func (s *Session) handleStream(f Frame, r *bufio.Reader) error {
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
		st.finish()
	}
	if f.Flags&(Reset|Stop) != 0 {
		st.reset()
	}
	return nil
}

// updateStream does what f says about the sending half of a stream, and
// returns the stream, or nil if it is gone.
func (s *Session) updateStream(f *Frame) (*Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
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
		return nil, nil
	}
	s.acceptedLocked(st) // by Ack, or in protocols without it by anything else
	if !st.addCreditLocked(f.Credit) {
		// st is reset as if the frame had said so.
		f.Flags |= Stop
	}
	return st, nil
}

// receive moves the payload of f to st, or past it if nobody wants it.
func (s *Session) receive(st *Stream, f Frame, r *bufio.Reader) error {
	taken, wanted := 0, false
	if st != nil {
		var err error
		if taken, wanted, err = st.receive(r, f.Length); err != nil {
			return err
		}
	}
	if _, err := r.Discard(f.Length - taken); err != nil || wanted {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replyStrayLocked(f.ID)
}

// shed resets streams until a quarter of the session's memory is free: looking at
// all of them has to be worth it.
func (s *Session) shed() {
	err := fmt.Errorf("%s: %w: it was read too slowly, and the session's receive buffer of %d bytes is full",
		s.wire.Name(), mux.ErrReset, s.config.ReceiveBuffer)
	for _, st := range shed.Order(s.live(), (*Stream).load) {
		if s.windows.Held.Load() <= int64(s.config.ReceiveBuffer)/4*3 {
			return
		}
		st.refuse(err)
	}
}
