package faulttest_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/internal/test/suite"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport/faulttest"
	"github.com/backdial/backdial/transport/transporttest"
)

var (
	rounds = flag.Int("rounds", 1, "how often to test every combination, each time with another seed")
	seed   = flag.Uint64("seed", rand.Uint64(), "the seed of the first round")
)

const (
	// stackEnv names the stack that a process of its own is to test.
	stackEnv = "BACKDIAL_FAULTTEST_STACK"

	seedEnv = "BACKDIAL_FAULTTEST_SEED"
)

func TestMain(m *testing.M) {
	os.Exit(suite.Main(m, 8)) // and as many faults in each of them
}

// stacks are all combinations that have a network.
func stacks() map[string]faulttest.Stack {
	all := make(map[string]faulttest.Stack)
	for name, target := range map[string]carriertest.Target{
		"ws":  {Carrier: ws.New()},
		"wss": {Carrier: ws.New(), TLS: true},

		"webtransport": {Carrier: webtransport.New(
			webtransport.WithKeepAlive(faulttest.KeepAlive),
			webtransport.WithIdleTimeout(20*faulttest.KeepAlive),
		), TLS: true},
	} {
		network, muxers := "tcp", []mux.Muxer{yamuxmux.New(), smuxmux.New(), qmux.New()}
		if _, ok := target.Carrier.(carrier.StreamCarrier); ok {
			network, muxers = "udp", append(muxers, nativemux.New())
		}
		for _, m := range muxers {
			all[name+"-"+m.Name()] = faulttest.Stack{
				Stack:   transporttest.Stack{Target: target, Muxer: m},
				Network: network,
			}
		}
	}
	return all
}

// TestFaults tests every combination in a process of its own, which shows whose leak it is.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, stack := range stacks() {
		t.Run(name, func(t *testing.T) {
			if name != "ws-qmux" && name != "webtransport-native" { // which are the fastest of each carrier
				long.Only(t)
			}
			if os.Getenv(stackEnv) == name {
				faulttest.Test(t, stack)
				return
			}
			t.Parallel()
			for i := range uint64(*rounds) {
				passed, out := suite.Rerun(t, stackEnv+"="+name, fmt.Sprintf("%s=%d", seedEnv, *seed+i))
				if !passed {
					t.Error(out)
				}
			}
		})
	}
}

// In TestIdleTimeout QUIC notices what multiplexers notice otherwise.
func TestIdleTimeout(t *testing.T) {
	const name = "idle"
	if os.Getenv(stackEnv) != name {
		t.Parallel()
		if passed, out := suite.Rerun(t, stackEnv+"="+name); !passed {
			t.Error(out)
		}
		return
	}
	by := webtransport.New(
		webtransport.WithKeepAlive(faulttest.KeepAlive/2),
		webtransport.WithIdleTimeout((faulttest.KeepAlive+faulttest.KeepAliveTimeout)/2))
	faulttest.Test(t, faulttest.Stack{
		Stack:          transporttest.Stack{Target: carriertest.Target{Carrier: by, TLS: true}, Muxer: nativemux.New()},
		Network:        "udp",
		CarrierNotices: true,
	}, faulttest.Hole, faulttest.Abandoned)
}
