package cluster

import "time"

// RemoteIdleTimeout is for how long a connection to a client elsewhere is kept.
func (t *Transport) RemoteIdleTimeout() time.Duration { return t.others.IdleConnTimeout }
