package muxtest

import (
	"slices"
	"testing"

	"github.com/backdial/backdial/internal/test/suite"
)

// Over makes sessions of a muxer over TCP.
var Over = over

// Most is [TestSessions] without [SteadyReaders], which takes as long as the rest.
func Most(t *testing.T, connect Connect, deviations ...Deviation) {
	t.Helper()
	promises := slices.DeleteFunc(promises(slices.Concat(streaming, own), connect), func(p suite.Promise) bool {
		return p.Name == string(SteadyReaders)
	})
	suite.Run(t, promises, excuses(deviations))
}

// Slowdown is more than 1 under the race detector.
const Slowdown = slowdown
