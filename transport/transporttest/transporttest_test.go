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
	"github.com/backdial/backdial/internal/suite"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport/transporttest"
)

// stackEnv names the stack that a process of its own is to test.
const stackEnv = "BACKDIAL_TRANSPORTTEST_STACK"

// children is how many processes run at a time. Mostly they wait.
const children = "4"

func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", children)
	os.Exit(m.Run())
}

// TestStacks tests every combination that exists, each in a process of its own:
// they take a while, and leaks of tests beside each other cannot be told apart.
func TestStacks(t *testing.T) {
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
			name := name + "-" + m.Name()
			t.Run(name, func(t *testing.T) {
				if os.Getenv(stackEnv) == name {
					transporttest.Test(t, transporttest.Stack{Target: target, Muxer: m})
					return
				}
				t.Parallel()
				if passed, out := suite.Rerun(t, stackEnv+"="+name); !passed {
					t.Error(out)
				}
			})
		}
	}
}
