package qmux

import (
	"errors"

	"github.com/backdial/backdial/mux/internal/recv"
)

// driven is a session as seen by a Read that has the role of the reader.
type driven struct{ *session }

var _ recv.Driven = driven{}

// errSpecial is the error for a frame that only the reader's own goroutine executes.
var errSpecial = errors.New("special frame")

// TakeArrived implements [recv.Driven]. It leaves all that may take time, and whatever
// ends the session, to the reader's goroutine.
func (s driven) TakeArrived() bool {
	_, err := s.nextRecord()
	if err == nil {
		err = s.readFrames(frame.isQuick)
	}
	if err != nil && err != errSpecial {
		s.fault = err
	}
	return err == nil
}

// isQuick reports whether f is executed without waiting, and without a call of the
// application.
func (f frame) isQuick() bool {
	switch f.typ {
	case frameStream, frameResetStream, frameStopSending, frameMaxStreamData, frameStreamDataBlocked,
		frameMaxData, frameMaxStreamsBidi, framePing, framePong, frameAccepted:
		return true
	}
	return false
}
