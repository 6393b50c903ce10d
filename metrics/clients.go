package metrics

import (
	"errors"
	"net"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backdial/backdial/transport"
	"github.com/backdial/backdial/transport/outcome"
)

// countConnects counts attempts to connect. Call it after countSessions.
func (c *Collector) countConnects() {
	attempts := c.counters("connects_total",
		"Finished attempts to connect, by carrier and result, and by HTTP status if the server rejected them.", "carrier", "result", "code")
	var mu sync.Mutex // guards below
	known := make(map[string]map[answer]prometheus.Counter)
	of := func(carrier string) map[answer]prometheus.Counter {
		mu.Lock()
		defer mu.Unlock()
		if known[carrier] == nil {
			known[carrier] = answers(attempts, outcome.OfConnects(), carrier)
		}
		return known[carrier]
	}
	ended := func(carrier string, err error) {
		result, code := outcome.Connect(err)
		of(carrier)[answer{result, code}].Inc()
	}
	c.trace.DialStarted = func(carrier string) { of(carrier) }
	c.trace.DialFailed = ended
	begun := c.trace.ClientConnected
	c.trace.ClientConnected = func(i transport.Info) {
		begun(i)
		ended(i.Carrier, nil)
	}
}

// countListeners counts listeners by state. A listener reports neither its first state, which
// is connecting, nor who it is: so there is no count of those that connect.
func (c *Collector) countListeners() {
	now := c.gauges("listeners", "Listeners now, by state.", "state")
	listeners := make(map[transport.State]prometheus.Gauge)
	for s := transport.StateConnected; s < transport.StateEnded; s++ {
		listeners[s] = now.WithLabelValues(s.String())
	}
	entered := c.counters("states_entered_total", "Changes of a listener's state, by the new state.", "state")
	states := make(map[transport.State]prometheus.Counter)
	for s := transport.StateConnecting; s <= transport.StateEnded; s++ {
		states[s] = entered.WithLabelValues(s.String())
	}
	moves := each(c.counters("moves_total", "Moves to another session that a server asked for, by outcome.", "outcome"),
		[]string{moved, stayed, lost})
	c.trace.StateChanged = func(change transport.StateChange) {
		if g := listeners[change.From]; g != nil {
			g.Dec()
		}
		if g := listeners[change.To]; g != nil {
			g.Inc()
		}
		if change.From != change.To { // not just another pause
			states[change.To].Inc()
		}
		if o := outcomeOfMove(change); o != "" {
			moves[o].Inc()
		}
	}
}

const (
	moved  = "moved"
	stayed = "stayed" // in its session
	lost   = "lost"   // the session ended before there was another
)

// outcomeOfMove returns the outcome of a move that change ends, or "".
func outcomeOfMove(change transport.StateChange) string {
	if change.From != transport.StateMoving {
		return ""
	}
	switch change.To {
	case transport.StateConnected:
		if change.Err != nil {
			return stayed
		}
		return moved
	case transport.StateWaiting, transport.StateEnded:
		if !errors.Is(change.Err, net.ErrClosed) { // Close of the listener
			return lost
		}
	}
	return ""
}
