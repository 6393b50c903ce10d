package cluster

import "time"

// Age has the connections to clients elsewhere be older.
func (t *Transport) Age(by time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.since = t.since.Add(-by)
}

// RemoteIdleTimeout is for how long a connection to a client elsewhere is kept.
func (t *Transport) RemoteIdleTimeout() time.Duration { return t.others.IdleConnTimeout }
