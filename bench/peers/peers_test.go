package peers

import (
	"testing"

	"github.com/backdial/backdial/bench/harness"
)

func BenchmarkStreamSetup(b *testing.B)       { harness.StreamSetup(b, peers()) }
func BenchmarkStreamSetupAtOnce(b *testing.B) { harness.StreamSetupAtOnce(b, peers()) }
func BenchmarkPing(b *testing.B)              { harness.Ping(b, peers()) }
func BenchmarkPingBesideBulk(b *testing.B)    { harness.PingBesideBulk(b, peers()) }
func BenchmarkThroughput(b *testing.B)        { harness.Throughput(b, peers()) }
func BenchmarkSessionSetup(b *testing.B)      { harness.SessionSetup(b, peers()) }
func BenchmarkIdleSessions(b *testing.B)      { harness.IdleSessions(b, peers()) }
func BenchmarkIdleStreams(b *testing.B)       { harness.IdleStreams(b, peers()) }
func BenchmarkDistance(b *testing.B)          { harness.Distance(b, peers()) }

// peers are all subjects.
func peers() []harness.Subject {
	return []harness.Subject{
		{Name: "carrier=tcp/mux=libp2p-yamux", Serve: harness.OverTCP(libp2pYamux)},
		{Name: "carrier=tcp/mux=ssh", Serve: harness.OverTCP(sshChannels), Skip: map[string]string{
			"BenchmarkDistance": "has no deadlines",
		}},
		{Name: "carrier=revdial/mux=none", Serve: serveRevdial, Skip: map[string]string{
			"BenchmarkIdleStreams": "takes more sockets than a process may have",
		}},
		{Name: "carrier=remotedialer/mux=own", Serve: serveRemotedialer, Skip: map[string]string{
			"BenchmarkIdleStreams": "takes more sockets than a process may have",
		}},
	}
}
