package transport

import (
	"fmt"
	"time"
)

// A State is one of a [Listener].
type State int

// The states of a listener. Without [WithReconnect] it neither waits nor moves. One that
// is to hold several sessions ([WithSessions]) is connected while any of them is that is
// not to move; it moves while all that it has are to; and while it has none, it is in the
// state in which one of them was last.
const (
	StateConnecting State = iota // an attempt is under way
	StateConnected               // there is a session
	StateMoving                  // there is one whose server asks for another: a pause, or an attempt
	StateWaiting                 // there is none, and a pause before the next attempt
	StateDraining                // Shutdown or Close was called, and connections are in use
	StateEnded                   // Close or Shutdown is done, or there will be no other session
)

var stateNames = [...]string{"connecting", "connected", "moving", "waiting", "draining", "ended"}

func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", int(s))
	}
	return stateNames[s]
}

// A StateChange is what [Trace.StateChanged] is told.
type StateChange struct {
	From, To State

	// Info of the session, when it is connected: the first of several. For the others
	// there is [Trace.ClientConnected].
	Info Info

	// Err is why there is no session, when it waits or has ended; why the last
	// attempt failed, when it moves; and why there is no other session, when it
	// is connected to the one that it was to move from. With [WithSessions] a
	// listener that stays connected or moving is told of too, if another of its
	// sessions was refused or is given up for good, which is what Err says then.
	Err error

	// Wait is for how long it waits, before which Attempt: 1 for the first after
	// a session that was stable ([Backoff.Stable]), and 0 for the first of a move
	// from one, for which the server says how long to wait.
	Wait    time.Duration
	Attempt int

	// Refused is how many refusals in a row ([Backoff]) there were, the latest of which
	// is Err, or 0 if Err is none.
	Refused int
}
