package natsregistry_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/cluster/natsregistry"
)

// quiet is how long a test listens for what must not come.
const quiet = 100 * time.Millisecond

// A holder has all the clients that it has attached.
type holder struct {
	cluster.Member
	node   cluster.Node
	asked  atomic.Int64
	rivals chan cluster.Claim
}

// join adds another node to a registry.
func join(t *testing.T, r *natsregistry.Registry) *holder {
	t.Helper()
	h := newHolder(rand.Text())
	h.join(t, r)
	return h
}

func newHolder(run string) *holder {
	return &holder{
		node:   cluster.Node{Name: "replica", Run: run, URL: "wss://replica.example"},
		rivals: make(chan cluster.Claim, 100),
	}
}

func (h *holder) join(t *testing.T, r *natsregistry.Registry) {
	t.Helper()
	var err error
	if h.Member, err = r.Join(h.node, h); err != nil {
		t.Fatal(err)
	}
}

func (h *holder) Claim(id string) (cluster.Claim, bool) {
	h.asked.Add(1)
	return cluster.Claim{ID: id, Node: h.node}, true
}

func (h *holder) Rival(c cluster.Claim) {
	select {
	case h.rivals <- c:
	default:
	}
}

// attach adds clients whose names are name and a number below n.
func (h *holder) attach(name string, n int) {
	for i := range n {
		h.Attach(cluster.Claim{ID: fmt.Sprint(name, i), Node: h.node})
	}
}

// found waits until a client is found at a holder.
func found(t *testing.T, by *natsregistry.Registry, id string, at *holder) {
	t.Helper()
	backdialtest.Until(t, "finding "+id, func() bool {
		c, err := by.Locate(t.Context(), id)
		return err == nil && c.Node.Run == at.node.Run
	})
}

// nobody fails t if anybody has a client.
func nobody(t *testing.T, by *natsregistry.Registry, id string) {
	t.Helper()
	if c, err := by.Locate(t.Context(), id); !errors.Is(err, cluster.ErrNotConnected) {
		t.Errorf("Locate returned %+v, %v; want ErrNotConnected", c, err)
	}
}
