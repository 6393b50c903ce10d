package transport

import (
	"encoding/binary"
	"errors"
	"math"
	"sync"
	"time"
)

// Kinds of control messages; see the package documentation.
const (
	controlMove    = 1
	controlMoved   = 2
	controlStaying = 3
	controlLeaving = 4
)

// A controlMessage is what one end of a session tells the other about it.
type controlMessage struct {
	kind  uint64
	delay time.Duration // of a move, in whole milliseconds
}

func (m controlMessage) encode() []byte {
	b := binary.AppendUvarint(nil, m.kind)
	if m.kind == controlMove {
		b = binary.AppendUvarint(b, uint64(m.delay.Milliseconds()))
	}
	return b
}

// decodeControl reports false for a message that this version does not know. What
// follows a message that it does is for later ones.
func decodeControl(b []byte) (m controlMessage, ok bool) {
	kind, n := binary.Uvarint(b)
	if n <= 0 {
		return m, false
	}
	m.kind = kind
	switch kind {
	case controlMove:
		delay, n := binary.Uvarint(b[n:])
		if n <= 0 {
			return m, false
		}
		const most = math.MaxInt64 / uint64(time.Millisecond)
		m.delay = time.Duration(min(delay, most)) * time.Millisecond
		return m, true
	case controlMoved, controlStaying, controlLeaving:
		return m, true
	}
	return m, false
}

// A control hears the control messages of a session's peer.
type control struct {
	mu    sync.Mutex // guards below, and keeps messages in order
	heard func(controlMessage)
	early []controlMessage // what came before there was somebody to hear it
}

// maxEarly is how many messages are kept for later. No peer has more to say.
const maxEarly = 8

// receive is called with each message of the peer.
func (c *control) receive(message []byte) {
	m, ok := decodeControl(message)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.heard != nil:
		c.heard(m)
	case len(c.early) < maxEarly:
		c.early = append(c.early, m)
	}
}

// listen has heard called with what the peer says, and has said. It must not wait.
func (c *control) listen(heard func(controlMessage)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = heard
	for _, m := range c.early {
		heard(m)
	}
	c.early = nil
}

// errNoControl is why a peer that does not negotiate is not told anything.
var errNoControl = errors.New("transport: the peer does not negotiate, and so knows no control messages")

// say tells the peer something.
func (s *session) say(m controlMessage) error {
	if s.info.Protocol == "" {
		return errNoControl
	}
	return s.mux.Send(m.encode())
}
