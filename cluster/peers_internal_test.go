package cluster

import (
	"testing"
	"time"
)

// TestDiallingIsUse has a session looked at that somebody has found and is about to dial.
func TestDiallingIsUse(t *testing.T) {
	p := newPeers(t.Context(), &config{idle: 1})
	s := &peer{dialling: 1, used: time.Now().Add(-time.Hour)}
	p.sessions[s.node.key()] = s
	if p.forgetIdle(s) || p.sessions[s.node.key()] != s {
		t.Error("the session is idle")
	}
}
