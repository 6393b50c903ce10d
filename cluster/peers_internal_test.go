package cluster

import (
	"testing"
	"time"
)

// In TestDiallingIsUse the check for idle sessions sees one that somebody is about to dial on.
func TestDiallingIsUse(t *testing.T) {
	p := newPeers(t.Context(), &config{idle: 1})
	s := &peer{dialling: 1, used: time.Now().Add(-time.Hour)}
	p.pairs[s.node.key()] = &pair{sessions: []*peer{s}}
	if p.forgetIdle(s) || p.pairs[s.node.key()] == nil {
		t.Error("the session is idle")
	}
}
