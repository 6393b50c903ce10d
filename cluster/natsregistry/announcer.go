package natsregistry

import (
	"time"

	"github.com/nats-io/nats.go"

	"github.com/backdial/backdial/cluster"
)

const (
	// breath is after how many clients that are announced once more to wait for the engine,
	// which then has time for others.
	breath = 64

	// breathless is how long to wait for it, at most.
	breathless = 5 * time.Second
)

// An announcer tells the engine what a member has. Nothing else waits for the engine.
type announcer struct {
	*member
	subs map[string]*nats.Subscription // by ID
}

// announce runs until the member, or its registry, is closed.
func (m *member) announce() {
	a := announcer{m, make(map[string]*nats.Subscription)}
	self, err := m.r.nc.ChanSubscribe(m.r.subjects.node+token(m.node.Run), m.warned)
	if err != nil {
		m.r.link.refused(err)
	}
	for returned := 0; ; {
		select {
		case <-m.ended:
			a.withdraw(self)
			return
		case <-m.r.ctx.Done():
			return // the registry closes the connection
		default:
		}
		id, c, again, ok := m.next()
		switch {
		case !ok:
			select {
			case <-m.wake:
			case <-m.ended:
			case <-m.r.ctx.Done():
			}
		case again:
			a.again(id)
			if returned++; returned%breath == 0 {
				m.r.nc.FlushTimeout(breathless)
			}
		default:
			a.change(id, c)
		}
	}
}

// next returns what to announce, and whether it is to be announced once more.
func (m *member) next() (id string, c *cluster.Claim, again, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if id, c, ok = m.changes.take(); ok {
		return id, c, false, true
	}
	id, _, ok = m.returns.take()
	return id, nil, true, ok
}

// change announces a client that has come, or withdraws one that has gone. If that fails,
// again makes up for it later.
func (a *announcer) change(id string, c *cluster.Claim) {
	sub := a.subs[id]
	if !a.has(id) {
		if sub != nil {
			sub.Unsubscribe()
			delete(a.subs, id)
		}
		return
	}
	if sub == nil {
		sub, err := a.r.nc.ChanSubscribe(a.r.subjects.locate+token(id), a.asked)
		if err != nil {
			a.r.link.refused(err)
			return
		}
		a.subs[id] = sub
	}
	if c != nil {
		a.tell(*c, tokenAttach)
	}
}

// again announces a client once more. nats.go itself has subscribed again.
func (a *announcer) again(id string) {
	if c, ok := a.claim(id); ok {
		c.ID = id
		a.tell(c, tokenBack)
	}
}

// tell tells the watchers of a client, and looks for other holders.
func (a *announcer) tell(c cluster.Claim, kind string) {
	client := token(c.ID)
	a.r.nc.Publish(a.r.subjects.attached+client, of(a.node).claim(c).encode())
	a.r.nc.PublishRequest(a.r.subjects.locate+client, a.searching(kind)+client, nil)
}

// withdraw withdraws everything.
func (a *announcer) withdraw(self *nats.Subscription) {
	for _, sub := range a.subs {
		sub.Unsubscribe()
	}
	if self != nil {
		self.Unsubscribe()
	}
}
