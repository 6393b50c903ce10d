package natsregistry

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/fleet"
)

const (
	// questions is how many questions to a member may wait to be answered. More are lost, and
	// asked again.
	questions = 8192

	// warnings is how many warnings of rivals may wait to be read. They are sent once, so a
	// flood of questions must not take their place.
	warnings = 1024

	// answerers is how many goroutines answer questions.
	answerers = 2
)

// A member is a node that has joined. It has a subscription for each client, and all of them
// use one channel: otherwise nats.go would start a goroutine for each.
type member struct {
	r      *Registry
	node   cluster.Node
	holder cluster.Holder
	asked  chan *nats.Msg // questions for a client, from anyone
	warned chan *nats.Msg // warnings of rivals, from replicas
	ended  chan struct{}  // closed by Close

	asking sync.RWMutex // held while the holder is called

	mu       sync.Mutex          // guards below
	attached map[string]struct{} // nil when closed
	changes  queue               // to announce
	returns  queue               // to announce once more
	wake     chan struct{}       // has room for one
}

// Join implements [cluster.Registry]. Several nodes with different Runs may join one registry.
// The description of a node may take at most 2 KiB, in JSON.
func (r *Registry) Join(self cluster.Node, holder cluster.Holder) (cluster.Member, error) {
	m, err := r.join(self, holder)
	if err != nil {
		return nil, fmt.Errorf("natsregistry: join: %w", err)
	}
	return m, nil
}

func (r *Registry) join(self cluster.Node, holder cluster.Holder) (*member, error) {
	if err := checkNode(self); err != nil {
		return nil, err
	}
	m := &member{
		r: r, node: self, holder: holder,
		asked:    make(chan *nats.Msg, questions),
		warned:   make(chan *nats.Msg, warnings),
		ended:    make(chan struct{}),
		attached: make(map[string]struct{}),
		wake:     make(chan struct{}, 1),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return nil, net.ErrClosed
	case r.members[self.Run] != nil:
		return nil, errors.New("another node with the same Run has joined")
	}
	r.members[self.Run] = m
	for range answerers {
		r.running.Go(m.answer)
	}
	r.running.Go(m.announce)
	return m, nil
}

// Attach implements [cluster.Member].
func (m *member) Attach(c cluster.Claim) {
	if fleet.CheckID(c.ID) != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.attached != nil {
		m.attached[c.ID] = struct{}{}
		m.changes.put(c.ID, &c)
		m.wakeLocked()
	}
}

// Detach implements [cluster.Member].
func (m *member) Detach(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.attached[id]; ok {
		delete(m.attached, id)
		m.changes.put(id, nil)
		m.wakeLocked()
	}
}

// back makes the member announce all that it has once more, after the engine was away.
func (m *member) back() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.attached {
		m.returns.put(id, nil)
	}
	m.wakeLocked()
}

func (m *member) wakeLocked() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Close implements [cluster.Member]. It waits for calls of the holder, which must not call it.
func (m *member) Close() error {
	m.mu.Lock()
	closed := m.attached == nil
	m.attached = nil
	m.mu.Unlock()
	if !closed {
		close(m.ended)
	}
	m.asking.Lock() // from now on nothing calls the holder
	defer m.asking.Unlock()
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	if m.r.members[m.node.Run] == m {
		delete(m.r.members, m.node.Run)
	}
	return nil
}

// has reports whether a client is attached.
func (m *member) has(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.attached[id]
	return ok
}

// claim calls the holder.
func (m *member) claim(id string) (cluster.Claim, bool) {
	m.asking.RLock()
	defer m.asking.RUnlock()
	if !m.has(id) {
		return cluster.Claim{}, false
	}
	return m.holder.Claim(id)
}

// rival calls the holder.
func (m *member) rival(c cluster.Claim) {
	m.asking.RLock()
	defer m.asking.RUnlock()
	if m.has(c.ID) {
		m.holder.Rival(c)
	}
}

// answer handles messages to the member's subscriptions.
func (m *member) answer() {
	for {
		select {
		case msg := <-m.asked:
			m.take(msg)
		case msg := <-m.warned:
			m.warn(msg)
		case <-m.ended: // later questions are asked again
			return
		case <-m.r.ctx.Done():
			return
		}
	}
}

// take handles a question, which anyone may have sent.
func (m *member) take(msg *nats.Msg) {
	if client, ok := strings.CutPrefix(msg.Subject, m.r.subjects.locate); ok {
		m.reply(client, msg.Reply)
	}
}

// reply answers whether the node has a client.
func (m *member) reply(client, to string) {
	id, ok := clientOf(client)
	if !ok || !m.r.takesReply(to) || strings.HasPrefix(to, m.searching(tokenAttach)) || strings.HasPrefix(to, m.searching(tokenBack)) {
		return
	}
	says := of(m.node).none()
	if c, ok := m.claim(id); ok {
		says = of(m.node).claim(c)
	}
	m.r.nc.Publish(to, says.encode()) // if it is lost, the question is sent again
}

// searching returns the prefix of the subjects to which rivals reply.
func (m *member) searching(kind string) string {
	return m.r.inbox + "." + kind + "." + token(m.node.Run) + "."
}

// meet is called when another node says that it has a client too that the member has
// announced. It warns the node that had the client first. After an outage it does not know
// which one that is, so it warns both.
func (m *member) meet(client string, msg *nats.Msg, back bool) {
	id, ok := clientOf(client)
	if !ok {
		return
	}
	other, err := decode(msg.Data)
	if err != nil || other.None || other.Run == m.node.Run {
		return // such as a message of the engine that no replica has subscribed
	}
	c, ok := m.claim(id)
	if !ok {
		return
	}
	m.r.nc.Publish(m.r.subjects.node+token(other.Run), of(m.node).claim(c).about(id).encode())
	if back {
		m.rival(other.of(id))
	}
}

// warn handles a warning that another node has got a client.
func (m *member) warn(msg *nats.Msg) {
	other, err := decode(msg.Data)
	if err == nil && !other.None && other.Run != m.node.Run {
		m.rival(other.of(string(other.ID)))
	}
}
