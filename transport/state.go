package transport

import (
	"fmt"
	"time"
)

// A State is the state of a [Listener].
type State int

// The states of a listener. Without [WithReconnect] it neither waits nor moves. A listener
// with several sessions ([WithSessions]) is connected while one of them is and does not have
// to move, and moving while all of them have to move. Without a session, it is in the latest
// state of any of them.
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

// A StateChange is the argument of [Trace.StateChanged].
type StateChange struct {
	From, To State

	// Info describes the session when the listener is connected: the first of several.
	// [Trace.ClientConnected] reports the others.
	Info Info

	// Err is why there is no session, when the listener waits or has ended; why the last
	// attempt failed, when it moves; and why there is no other session, when it is connected
	// to the session that it was to leave. With [WithSessions] a listener that stays connected
	// or moving also reports that another of its sessions was refused or is given up for good;
	// then Err is the reason.
	Err error

	// Wait is the pause before the attempt numbered Attempt: 1 for the first after a session
	// that was stable ([Backoff.Stable]), and 0 for the first of a move from one, for which
	// the server says how long to wait.
	Wait    time.Duration
	Attempt int

	// Refused is how many refusals in a row ([Backoff]) there were, the latest of which is
	// Err. It is 0 if Err is no refusal.
	Refused int
}
