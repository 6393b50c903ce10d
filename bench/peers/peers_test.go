package peers

import (
	"testing"
	"time"

	"github.com/backdial/backdial/bench/harness"
)

func BenchmarkStreamSetup(b *testing.B)          { harness.StreamSetup(b, peers(0)) }
func BenchmarkStreamSetupAtOnce(b *testing.B)    { harness.StreamSetupAtOnce(b, peers(0)) }
func BenchmarkPing(b *testing.B)                 { harness.Ping(b, peers(0)) }
func BenchmarkPingBesideBulk(b *testing.B)       { harness.PingBesideBulk(b, peers(0)) }
func BenchmarkBulkAndPings(b *testing.B)         { harness.BulkAndPings(b, peers(0)) }
func BenchmarkSmallWriters(b *testing.B)         { harness.SmallWriters(b, peers(0)) }
func BenchmarkSlowReaders(b *testing.B)          { harness.SlowReaders(b, peers(0)) }
func BenchmarkThroughput(b *testing.B)           { harness.Throughput(b, peers(0)) }
func BenchmarkHTTP(b *testing.B)                 { harness.HTTP(b, peers(0)) }
func BenchmarkSessionSetup(b *testing.B)         { harness.SessionSetup(b, peers(0)) }
func BenchmarkSessionSetupAtOnce(b *testing.B)   { harness.SessionSetupAtOnce(b, peers(0)) }
func BenchmarkSessionSetupAndClose(b *testing.B) { harness.SessionSetupAndClose(b, peers(0)) }
func BenchmarkIdleSessions(b *testing.B)         { harness.IdleSessions(b, peers(0)) }
func BenchmarkQuiet(b *testing.B)                { harness.Quiet(b, peers(25*time.Second)) }
func BenchmarkIdleStreams(b *testing.B)          { harness.IdleStreams(b, peers(0)) }
func BenchmarkDistance(b *testing.B)             { harness.Distance(b, peers(0)) }
func BenchmarkLoss(b *testing.B)                 { harness.Loss(b, peers(0)) }

// peers are all subjects. keepAlive is chisel's.
func peers(keepAlive time.Duration) []harness.Subject {
	return []harness.Subject{
		{Name: "carrier=tcp/mux=libp2p-yamux", Serve: harness.OverTCP(libp2pYamux)},
		{Name: "carrier=tcp/mux=ssh", Serve: harness.OverTCP(sshChannels), Skip: map[string]string{
			"BenchmarkDistance": "has no deadlines",
			"BenchmarkLoss":     "has no deadlines",
		}},
		{Name: "carrier=revdial/mux=none", Serve: serveRevdial, Skip: map[string]string{
			"BenchmarkIdleStreams": "takes more sockets than a process may have",
		}},
		{Name: "carrier=remotedialer/mux=own", Serve: serveRemotedialer, Skip: map[string]string{
			"BenchmarkIdleStreams": "takes more sockets than a process may have",
		}},
		{Name: "carrier=piko/mux=own", Serve: servePiko, Skip: map[string]string{
			"BenchmarkIdleStreams": "takes more sockets than a process may have",
		}},
		chisel(keepAlive),
	}
}
