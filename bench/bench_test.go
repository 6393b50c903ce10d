package bench

import (
	"slices"
	"strings"
	"testing"

	"github.com/backdial/backdial/bench/harness"
)

func BenchmarkStreamSetup(b *testing.B)          { harness.StreamSetup(b, subjects()) }
func BenchmarkStreamSetupAtOnce(b *testing.B)    { harness.StreamSetupAtOnce(b, subjects()) }
func BenchmarkPing(b *testing.B)                 { harness.Ping(b, subjects()) }
func BenchmarkPingBesideBulk(b *testing.B)       { harness.PingBesideBulk(b, subjects()) }
func BenchmarkBulkAndPings(b *testing.B)         { harness.BulkAndPings(b, leading()) }
func BenchmarkSmallWriters(b *testing.B)         { harness.SmallWriters(b, leading()) }
func BenchmarkSlowReaders(b *testing.B)          { harness.SlowReaders(b, leading()) }
func BenchmarkThroughput(b *testing.B)           { harness.Throughput(b, subjects()) }
func BenchmarkHTTP(b *testing.B)                 { harness.HTTP(b, leading()) }
func BenchmarkSessionSetup(b *testing.B)         { harness.SessionSetup(b, subjects()) }
func BenchmarkSessionSetupAtOnce(b *testing.B)   { harness.SessionSetupAtOnce(b, leading()) }
func BenchmarkSessionSetupAndClose(b *testing.B) { harness.SessionSetupAndClose(b, leading()) }
func BenchmarkIdleSessions(b *testing.B)         { harness.IdleSessions(b, subjects()) }
func BenchmarkQuiet(b *testing.B)                { harness.Quiet(b, leading()) }
func BenchmarkIdleStreams(b *testing.B)          { harness.IdleStreams(b, subjects()) }

// subjects are all subjects, the baselines first.
func subjects() []harness.Subject { return slices.Concat(baselines(), halves(), combinations()) }

// leading are the baselines and the combinations that people run. Benchmarks that take
// long, or that report many figures of each subject, use only these.
func leading() []harness.Subject {
	return slices.DeleteFunc(slices.Concat(baselines(), combinations()), func(s harness.Subject) bool {
		carrier, mux, _ := strings.Cut(s.Name, "/")
		switch carrier {
		case "carrier=mem":
			return true
		case "carrier=webtransport":
			return mux != "mux=native" // native is the default
		case "carrier=ws":
			return mux == "mux=hashicorpyamux" || mux == "mux=xtacismux"
		}
		return false
	})
}
