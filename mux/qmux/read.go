package qmux

import (
	"cmp"
	"errors"
	"io"

	"github.com/backdial/backdial/mux/internal/life"
)

// readLoop takes records from the carrier until the session ends. It waits for nothing
// else, so neither a stream nor a peer that reads nothing can block the others.
func (s *session) readLoop() {
	defer close(s.read)
	err := s.readRecords()
	s.Mu.Lock()
	closes := s.StateLocked() == life.Closing
	s.Mu.Unlock()
	e, ok := errors.AsType[*ConnectionError](err)
	switch {
	case closes: // Close ends the session when it is done
	case ok && !e.Remote:
		s.violation(e)
	case ok:
		err = s.lost(closedByPeer(e))
		s.answerEnd(err)
		s.End(err)
	case err == io.EOF:
		s.answerEnd(s.lost(err))
		s.End(s.lost(err))
	default:
		s.End(s.lost(err))
	}
}

func (s *session) readRecords() error {
	for {
		small, err := s.nextRecord()
		if err != nil {
			return err
		}
		if err := s.readFrames(anyFrame); err != nil {
			return err
		}
		s.budget.Role.Lend(small)
		if s.fault != nil {
			return s.fault
		}
		if err := s.readFrames(anyFrame); err != nil { // what a Read has left
			return err
		}
	}
}

// smallRecord is the size up to which a record is more likely a question or an answer than
// a part of something large.
const smallRecord = readBuffer

// nextRecord moves to the next record. It reports whether it is small.
func (s *session) nextRecord() (small bool, err error) {
	r := s.records
	if err := r.next(); err != nil {
		return false, err
	}
	if r.left == 0 && s.chaff.Add() {
		return false, violation(protocolViolation, framePadding, "nothing but empty records")
	}
	return r.left <= smallRecord, nil
}

// readFrames executes what is left of the record, up to a frame that may not be executed
// here, and then fails with errSpecial.
func (s *session) readFrames(may func(f frame) bool) error {
	r := s.records
	for r.left > 0 {
		if err := s.readFrame(r, may); err != nil {
			return err
		}
	}
	r.done()
	return nil
}

func anyFrame(frame) bool { return true }

func (s *session) readFrame(r *recordReader, may func(f frame) bool) error {
	if s.peer == nil { // only the reader sets it
		if err := s.recognize(r); err != nil {
			return err
		}
	}
	header, err := r.peek(maxHeader)
	if err != nil {
		return err
	}
	f, n, err := s.version.parseFrame(header, r.left)
	if err != nil {
		return err
	}
	if !may(f) {
		return errSpecial
	}
	if err := r.skip(n); err != nil {
		return err
	}
	return s.handle(f, r)
}

// recognize fails if the first frame is not one that begins a session. It looks at the
// type only: a peer that speaks another protocol may not have sent more.
func (s *session) recognize(r *recordReader) error {
	b, err := r.peek(varintLen(uint64(s.version.parameters)))
	if err != nil {
		return err
	}
	typ, _ := consumeVarint(b)
	switch frameType(typ) {
	case s.version.parameters, frameClose, frameCloseApplication:
		return nil
	}
	return violation(protocolViolation, frameType(typ),
		"the first frame is not one of QX_TRANSPORT_PARAMETERS: the peer does not speak %s", s.version.protocol)
}

// handle executes a frame whose header has been taken.
func (s *session) handle(f frame, r *recordReader) error {
	var useful bool
	var err error
	switch f.typ {
	case frameStream:
		useful = f.length > 0 || f.fin
		err = s.handleStream(f, r)
	case frameResetStream:
		useful, err = s.handleReset(f)
	case frameStopSending, frameMaxStreamData, frameStreamDataBlocked:
		useful, err = s.handleSending(f)
	case frameMaxData:
		useful = s.handleMaxData(f.max)
	case frameMaxStreamsBidi:
		useful = s.handleMaxStreams(f.max)
	case framePing:
		err = s.handlePing(f)
	case framePong:
		useful, err = s.handlePong(f)
	case frameClose, frameCloseApplication:
		err = s.handleClose(f, r)
	case frameAccepted, frameMessage, frameLeaving:
		useful, err = s.handleExtension(f, r)
	case s.version.parameters:
		useful = true
		err = s.handleParameters(f, r)
	}
	switch {
	case err != nil:
		return err
	case useful:
		s.chaff.None()
	case s.chaff.Add():
		return violation(protocolViolation, f.typ, "nothing but frames that say nothing")
	}
	return nil
}

// lookUp is streamLocked for the reader.
func (s *session) lookUp(f *frame) (*stream, error) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	st, err := s.streamLocked(f.id, f.typ)
	if st != nil && f.length > 0 {
		st.heardLocked()
		s.arrivals.noteLocked(st)
		if st.pending&pendingGrant != 0 { // it was not urgent, and now may be
			s.flushLocked()
		}
	}
	return st, err
}

func (s *session) handleStream(f frame, r *recordReader) error {
	st, err := s.lookUp(&f)
	if err != nil {
		return err
	}
	if !s.inflow.receive(uint64(f.length)) {
		return s.overflow(f.typ)
	}
	unwanted := f.length
	if st != nil {
		if unwanted, err = st.receive(f, r); err != nil {
			return err
		}
	}
	if err := r.skip(unwanted); err != nil {
		return err
	}
	if st != nil && f.fin {
		st.finish()
	}
	s.extendInflow()
	return nil
}

// handleReset reports whether the reset is news.
func (s *session) handleReset(f frame) (bool, error) {
	st, err := s.lookUp(&f)
	if st == nil || err != nil {
		return false, err
	}
	received, allowed, done := st.progress()
	final := f.offset
	if final == 0 && s.version.zeroFinalSize {
		final = received
	}
	switch {
	case final < received, done && final != received:
		return false, violation(finalSizeError, f.typ, "final size %d of stream %d, but %d bytes have arrived", f.offset, f.id, received)
	case final > allowed:
		return false, violation(flowControlError, f.typ, "final size %d of stream %d, but only %d bytes are allowed", final, f.id, allowed)
	case !s.inflow.receive(final - received): // they will never come
		return false, s.overflow(f.typ)
	}
	if !done {
		st.reset(final, resetByPeer(f.code))
		s.extendInflow()
	}
	return !done, nil
}

func (s *session) overflow(typ frameType) error {
	return violation(flowControlError, typ, "more than the %d bytes allowed on all streams", s.inflow.told())
}

// extendInflow returns the connection's credit for what has arrived, as far as there is
// memory.
func (s *session) extendInflow() {
	if !s.inflow.extend(s.Pings.Shortest()) {
		return
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.control.maxData = true
	s.flushLocked()
}

// handleSending handles frames about what this end sends on a stream. It reports whether
// the frame says anything new.
func (s *session) handleSending(f frame) (bool, error) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	st, err := s.streamLocked(f.id, f.typ)
	if f.typ == frameStopSending && err == nil {
		s.stoppedLocked(cmp.Or(st, s.flight.findLocked(f.id)))
	}
	if st == nil || err != nil {
		return false, err
	}
	switch f.typ {
	case frameMaxStreamData:
		return s.addCreditLocked(st, f.max), nil
	case frameStopSending:
		if !s.resetLocked(st, f.code) { // after the data that has claimed credit
			return false, nil
		}
		if st.writeErr == nil {
			st.writeErr = resetByPeer(f.code)
		}
		st.writable.Broadcast()
		return true, nil
	}
	return false, nil
}

func (s *session) handleMaxData(limit uint64) bool {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if limit <= s.out.maxData {
		return false
	}
	s.out.maxData = limit
	s.creditedLocked()
	s.fillLocked()
	return true
}

func (s *session) handleMaxStreams(limit uint64) bool {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if limit <= s.peer.maxStreams {
		return false
	}
	s.peer.maxStreams = limit
	s.nameLocked()
	s.WakeOpenLocked()
	return true
}

func (s *session) handleClose(f frame, r *recordReader) error {
	e := &ConnectionError{Remote: true, Application: f.typ == frameCloseApplication, Code: f.code}
	reason := make([]byte, min(f.length, maxReason))
	if _, err := io.ReadFull(r, reason); err != nil {
		return cut(err)
	}
	e.Reason = string(reason)
	return e
}

// handleExtension reports whether the frame says anything new.
func (s *session) handleExtension(f frame, r *recordReader) (bool, error) {
	if !s.peer.extended() {
		return false, violation(frameEncodingError, f.typ, "frame of an extension that the peer has not declared")
	}
	if f.typ == frameMessage {
		return true, s.hearMessage(f, r)
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if f.typ == frameLeaving {
		return s.PeerLeavesLocked(), nil
	}
	o := &s.outgoing
	switch {
	case f.max > o.named:
		return false, violation(protocolViolation, f.typ, "%d streams accepted, of %d", f.max, o.named)
	case f.max <= o.accepted:
		return false, nil
	}
	o.accepted = f.max
	s.WakeOpenLocked()
	return true, nil
}
