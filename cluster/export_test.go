package cluster

import "time"

// Age makes the connections to clients elsewhere older.
func (t *Transport) Age(by time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.since = t.since.Add(-by)
}

// RemoteIdleTimeout is how long a connection to a client elsewhere is kept.
func (t *Transport) RemoteIdleTimeout() time.Duration { return t.others.IdleConnTimeout }

// LimitPeers sets how many sessions with replicas c has at most.
func (c *Cluster) LimitPeers(most int) { c.peers.most = most }
