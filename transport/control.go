package transport

import (
	"encoding/binary"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/backdial/backdial/internal/ident"
)

// Kinds of control messages; see the package documentation.
const (
	controlMove    = 1
	controlMoved   = 2
	controlStaying = 3
	controlLeaving = 4
	controlClosing = 5
	controlServer  = 6
	controlFailed  = 7
	controlEnding  = 8
)

// maxReason is how many bytes of a reason an end sends and shows.
const maxReason = 256

// A controlMessage is what one end of a session tells the other about it.
type controlMessage struct {
	kind  uint64
	delay time.Duration // of a move, in whole milliseconds
	text  string        // of a closing; the ID of a server; the EndReason of an ending
}

func (m controlMessage) encode() []byte {
	b := binary.AppendUvarint(nil, m.kind)
	switch m.kind {
	case controlMove:
		b = binary.AppendUvarint(b, uint64(m.delay.Milliseconds()))
	case controlClosing, controlServer, controlEnding:
		text := m.text[:min(len(m.text), maxReason)]
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	return b
}

// decodeControl reports false for a message that this version does not know. It ignores what
// follows a known message: later versions may add to it.
func decodeControl(b []byte) (m controlMessage, ok bool) {
	if m.kind, b, ok = cutUvarint(b); !ok {
		return m, false
	}
	switch m.kind {
	case controlMoved, controlStaying, controlLeaving, controlFailed:
		return m, true
	case controlMove:
		delay, _, ok := cutUvarint(b)
		const most = math.MaxInt64 / uint64(time.Millisecond)
		m.delay = time.Duration(min(delay, most)) * time.Millisecond
		return m, ok
	case controlClosing, controlServer, controlEnding:
		n, text, ok := cutUvarint(b)
		if !ok || n > uint64(len(text)) {
			return m, false
		}
		m.text = string(text[:min(n, maxReason)])
		return m, m.kind != controlServer || n <= ident.MaxLength && ident.Valid(m.text)
	}
	return m, false
}

// cutUvarint returns the number at the beginning of b, and the rest.
func cutUvarint(b []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}

// A control receives the control messages of a session's peer.
type control struct {
	mu    sync.Mutex // guards below, and keeps messages in order
	heard func(controlMessage)
	early []controlMessage // received before listen
}

// maxEarly is how many messages wait for listen. No peer has more to say.
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

// listen calls heard with what the peer has said, and says from now on. heard must not block.
func (c *control) listen(heard func(controlMessage)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = heard
	for _, m := range c.early {
		heard(m)
	}
	c.early = nil
}

// errNoControl is the error of a message to a peer that does not negotiate.
var errNoControl = errors.New("transport: the peer does not negotiate, so it knows no control messages")

// say sends the peer a message.
func (s *session) say(m controlMessage) error {
	if s.info.Protocol == "" {
		return errNoControl
	}
	return s.mux.Send(m.encode())
}

// sayMoved tells the server that the client has another session, after which it closes this
// one.
func (s *session) sayMoved() {
	s.heardReason(EndMoved)
	s.say(controlMessage{kind: controlMoved})
}
