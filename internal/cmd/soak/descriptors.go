package main

import "fmt"

// How many descriptors a run takes, at most: what a client takes through its network or
// without, twice because it moves, and what is there besides clients.
const (
	perClient      = 2 * 4
	perStormClient = 2 * 2
	besides        = 64
)

// checkDescriptors returns an error if the process may not open as many as it needs. Those
// that are left wait for ever otherwise: nobody accepts them, and nobody says so.
func (o options) checkDescriptors(limit uint64) error {
	each := uint64(perClient)
	if o.storm {
		each = perStormClient
	}
	need := uint64(o.clients)*each + besides
	if need <= limit {
		return nil
	}
	few := (max(limit, besides) - besides) / each
	return fmt.Errorf("-clients %d: they need %d file descriptors, and this process may open %d: raise the limit (ulimit -n %d), or have -clients %d at most",
		o.clients, need, limit, need, few)
}
