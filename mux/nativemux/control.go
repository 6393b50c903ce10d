package nativemux

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/backdial/backdial/mux"
)

// Kinds of control messages; see the package documentation.
const (
	kindHello = iota
	kindAccepted
	kindPing
	kindPong
	kindLeaving
	kindClosing
	kindClosed
	kindMessage
	kindCredit
	kindEnded
	kindDemands
)

// maxUnfinished limits the streams that a closing message names, to more than a session
// can have.
const maxUnfinished = 1 << 17

// control is what the two ends tell each other. What this end has to say is a state
// rather than a queue, so a peer that does not read, or asks without end, costs nothing.
// Messages from users are the exception.
type control struct {
	open    bool // messages can be written
	writing bool // and are being written
	spoken  bool // at least one has been written

	ownBacklog uint64 // how many streams wait for Accept here, at most

	// To be said. Zero means nothing, except for accepted.
	hello    bool
	counts   bool   // with hello: this end counts bytes
	credit   bool   // what this end has read
	demands  bool   // what this end has sent, and wants to send
	ping     uint64 // the number of the latest
	asks     bool   // whether to send it
	asked    func() // called when it is sent
	pong     uint64
	messages [][]byte
	leaving  bool
	closing  *closing
	closed   bool
	accepted uint64 // streams of the peer, accepted or refused
	told     uint64 // how many of those the peer knows of

	// What the peer has said.
	heard    bool          // hello
	greeted  chan struct{} // closed by hello
	backlog  uint64        // as hello says
	taken    uint64        // streams of this end that it has accepted
	answered chan struct{} // closed by its answer to closing
}

// init announces how many streams may wait for Accept here. asked is called when a ping
// is written.
func (c *control) init(backlog int, asked func()) {
	c.ownBacklog, c.asked = uint64(backlog), asked
	c.greeted, c.answered = make(chan struct{}), make(chan struct{})
}

// closing is the content of a closing message.
type closing struct {
	opened     uint64
	unfinished map[uint64]uint64 // bytes written, by stream
}

// sayLocked lets change add something to say, and sends it.
func (s *session) sayLocked(change func(*control)) {
	c := &s.control
	change(c)
	if c.open && !c.writing && s.ErrLocked() == nil {
		c.writing = true
		s.WG.Go(s.writeControl)
	}
}

// acceptedLocked counts a stream of the peer that was accepted or refused. It tells the
// peer as rarely as the peer's backlog allows.
func (s *session) acceptedLocked() {
	c := &s.control
	c.accepted++
	if c.accepted-c.told >= max(c.backlog/2, 1) {
		s.sayLocked(func(*control) {})
	}
}

// writeControl writes messages as long as there are any.
func (s *session) writeControl() {
	var b []byte
	for {
		b = s.nextMessages(b[:0])
		if len(b) == 0 {
			return
		}
		if _, err := s.conn.Write(b); err != nil {
			s.End(s.lost(err))
			return
		}
		s.Mu.Lock()
		s.control.spoken = true
		s.WakeAcceptLocked()
		s.Mu.Unlock()
	}
}

func (s *session) nextMessages(b []byte) []byte {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	b = s.control.appendMessages(b)
	b = s.appendCounts(b)
	s.control.writing = len(b) > 0
	return b
}

// appendMessages appends everything to be said.
func (c *control) appendMessages(b []byte) []byte {
	message := func(values ...uint64) { b = appendUvarints(b, values...) }
	if c.hello {
		c.hello = false
		message(kindHello, c.ownBacklog)
		if c.counts {
			message(kindPing, pingCounts)
		}
	}
	if c.accepted > c.told {
		c.told = c.accepted
		message(kindAccepted, c.accepted)
	}
	if c.asks {
		c.asks = false
		message(kindPing, c.ping)
		c.asked()
	}
	if c.pong != 0 {
		message(kindPong, c.pong)
		c.pong = 0
	}
	for _, m := range c.messages {
		message(kindMessage, uint64(len(m)))
		b = append(b, m...)
	}
	c.messages = nil
	if c.leaving {
		c.leaving = false
		message(kindLeaving)
	}
	if c.closing != nil {
		message(kindClosing, c.closing.opened, uint64(len(c.closing.unfinished)))
		for id, bytes := range c.closing.unfinished {
			message(id, bytes)
		}
		c.closing = nil
	}
	if c.closed {
		c.closed = false
		message(kindClosed)
	}
	return b
}

func appendUvarints(b []byte, values ...uint64) []byte {
	for _, v := range values {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

// readControl reads messages until the session ends.
func (s *session) readControl() {
	r := bufio.NewReaderSize(s.conn, 512)
	for {
		if err := s.readMessage(r); err != nil {
			s.End(s.lost(err))
			return
		}
		s.Hear(0)
	}
}

func (s *session) readMessage(r *bufio.Reader) error {
	kind, err := readUvarint(r)
	if err != nil {
		return err
	}
	heard := s.isHeard()
	if !heard != (kind == kindHello) {
		return fmt.Errorf("%w: control message %d, but %d comes first, and once", mux.ErrProtocol, kind, kindHello)
	}
	if heard && kind != kindPing {
		s.peerDoesNotCount() // unless it has said that it does
	}
	switch kind {
	case kindHello:
		return with(r, s.greet)
	case kindAccepted:
		return with(r, s.peerAccepted)
	case kindPing:
		return with(r, s.peerPings)
	case kindPong:
		return with(r, s.peerAnswers)
	case kindLeaving:
		s.peerIsLeaving()
		return nil
	case kindClosing:
		m, err := readClosing(r)
		if err != nil {
			return err
		}
		return s.peerIsClosing(m)
	case kindClosed:
		return s.peerHasAll()
	case kindMessage:
		return s.hearMessage(r)
	case kindCredit:
		return s.readCredit(r)
	case kindEnded:
		return s.readEnded(r)
	case kindDemands:
		return s.readDemands(r)
	}
	return fmt.Errorf("%w: control message of unknown kind %d", mux.ErrProtocol, kind)
}

// readUvarint is [binary.ReadUvarint], but its errors tell the peer's fault from the
// carrier's.
func readUvarint(r io.ByteReader) (v uint64, err error) {
	for shift := 0; ; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		if shift == 63 && b > 1 {
			return 0, fmt.Errorf("%w: control message with a number of more than 64 bits", mux.ErrProtocol)
		}
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v, nil
		}
	}
}

// with calls handle with the single value of a message.
func with(r *bufio.Reader, handle func(uint64) error) error {
	v, err := readUvarint(r)
	if err != nil {
		return err
	}
	return handle(v)
}

func (s *session) isHeard() bool {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	return s.control.heard
}

func (s *session) greet(backlog uint64) error {
	if !s.listenSide { // the client has begun before
		s.KeepAlive(s.Config)
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.control.counts = !s.inflows.off
	s.control.heard = true
	close(s.control.greeted)
	s.control.backlog = backlog
	s.control.open = true
	s.sayLocked(func(*control) {})
	s.WakeOpenLocked()
	return nil
}

func (s *session) peerAccepted(total uint64) error {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if total < s.control.taken || total > s.opened {
		return fmt.Errorf("%w: peer says it accepted %d streams, after %d, of %d", mux.ErrProtocol, total, s.control.taken, s.opened)
	}
	s.control.taken = total
	s.WakeOpenLocked()
	return nil
}

func (s *session) peerIsLeaving() {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.peerLeavesLocked()
}

func (s *session) peerLeavesLocked() {
	s.PeerLeavesLocked()
	s.shut()
}

func readClosing(r *bufio.Reader) (*closing, error) {
	var opened, n uint64
	for _, v := range []*uint64{&opened, &n} {
		var err error
		if *v, err = readUvarint(r); err != nil {
			return nil, err
		}
	}
	if n > maxUnfinished {
		return nil, fmt.Errorf("%w: peer says that %d streams are unfinished", mux.ErrProtocol, n)
	}
	m := &closing{opened: opened, unfinished: make(map[uint64]uint64)}
	for range n {
		id, err := readUvarint(r)
		if err != nil {
			return nil, err
		}
		if m.unfinished[id], err = readUvarint(r); err != nil {
			return nil, err
		}
	}
	return m, nil
}
