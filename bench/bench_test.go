package bench

import (
	"slices"
	"testing"

	"github.com/backdial/backdial/bench/harness"
)

func BenchmarkStreamSetup(b *testing.B)       { harness.StreamSetup(b, subjects()) }
func BenchmarkStreamSetupAtOnce(b *testing.B) { harness.StreamSetupAtOnce(b, subjects()) }
func BenchmarkPing(b *testing.B)              { harness.Ping(b, subjects()) }
func BenchmarkPingBesideBulk(b *testing.B)    { harness.PingBesideBulk(b, subjects()) }
func BenchmarkThroughput(b *testing.B)        { harness.Throughput(b, subjects()) }
func BenchmarkSessionSetup(b *testing.B)      { harness.SessionSetup(b, subjects()) }
func BenchmarkIdleSessions(b *testing.B)      { harness.IdleSessions(b, subjects()) }
func BenchmarkIdleStreams(b *testing.B)       { harness.IdleStreams(b, subjects()) }

// subjects are all subjects, the baselines first.
func subjects() []harness.Subject { return slices.Concat(baselines(), halves(), combinations()) }
