package main

import "fmt"

// The most descriptors of a run: those of each client with or without a network, twice
// because clients move, and those that are not for clients.
const (
	perClient      = 2 * 4
	perStormClient = 2 * 2
	besides        = 64
)

// checkDescriptors returns an error if the process may open fewer than it needs.
// Otherwise connections would wait forever: nobody accepts them, and nobody reports that.
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
	return fmt.Errorf("-clients %d: they need %d file descriptors, but this process may open %d: raise the limit (ulimit -n %d), or use -clients %d at most",
		o.clients, need, limit, need, few)
}
