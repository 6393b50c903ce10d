package transporttest_test

import (
	"flag"
	"os"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/internal/test/suite"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/muxtest"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
	"github.com/backdial/backdial/transport/transporttest"
)

// deviations are those of multiplexers, by name.
var deviations = map[string][]transporttest.Deviation{
	"yamux": {{Promise: muxtest.ResetWithCode, Because: "the protocol has no codes"}},
	"smux":  {{Promise: muxtest.ResetWithCode, Because: "the protocol has no codes"}},
}

// TestMain skips SteadyReaders under the race detector, where readers have too little time beside
// other processes. The Makefile tests it there for each multiplexer alone.
func TestMain(m *testing.M) {
	if flag.Parse(); raceDetector && flag.Lookup("test.skip").Value.String() == "" {
		flag.Set("test.skip", "Test(Stacks|Traced)/.*/"+string(muxtest.SteadyReaders))
	}
	processes := 10 // which mostly wait
	if raceDetector {
		processes = 4
	}
	os.Exit(suite.Main(m, processes))
}

// TestStacks tests every combination that exists.
func TestStacks(t *testing.T) {
	t.Parallel()
	targets := map[string]carriertest.Target{
		"mem": {Carrier: mem.New(), Scheme: "mem"},
		"ws":  {Carrier: ws.New()},
		"wss": {Carrier: ws.New(), TLS: true},

		"webtransport": {Carrier: webtransport.New(), TLS: true},
	}
	for name, target := range targets {
		muxers := []mux.Muxer{yamuxmux.New(), smuxmux.New(), qmux.New()}
		if _, ok := target.Carrier.(carrier.StreamCarrier); ok {
			muxers = append(muxers, nativemux.New())
		}
		for _, m := range muxers {
			testStack(t, name+"-"+m.Name(), transporttest.Stack{Target: target, Muxer: m})
		}
	}
}

// TestTraced tests each kind of stream with a trace around it, which must change nothing.
func TestTraced(t *testing.T) {
	long.Only(t)
	t.Parallel()
	traced := []transport.Option{transport.WithTrace(transport.Trace{
		StreamMoved: func(transport.Info, int, int) {},
	})}
	overWS := carriertest.Target{Carrier: ws.New()}
	for name, s := range map[string]transporttest.Stack{
		"qmux":   {Target: overWS, Muxer: qmux.New()},
		"yamux":  {Target: overWS, Muxer: yamuxmux.New()},
		"native": {Target: carriertest.Target{Carrier: webtransport.New(), TLS: true}, Muxer: nativemux.New()},
	} {
		s.Options = traced
		testStack(t, name, s)
	}
}

// testStack tests a stack in a process of its own.
func testStack(t *testing.T, name string, s transporttest.Stack) {
	t.Run(name, func(t *testing.T) {
		if name != "ws-qmux" && name != "webtransport-native" { // which are the fastest of each carrier
			long.Only(t)
		}
		suite.Apart(t, func(t *testing.T) {
			long.Shorten(t)
			transporttest.Test(t, s, deviations[s.Muxer.Name()]...)
		})
	})
}
