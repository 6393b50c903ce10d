package transporttest_test

import (
	"testing"

	"github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport/transporttest"
)

// TestStacks tests every combination that exists.
func TestStacks(t *testing.T) {
	targets := map[string]carriertest.Target{
		"mem": {Carrier: mem.New(), Scheme: "mem"},
		"ws":  {Carrier: ws.New()},
		"wss": {Carrier: ws.New(), TLS: true},
	}
	for name, target := range targets {
		for _, m := range []mux.Muxer{yamuxmux.New(), smuxmux.New()} {
			t.Run(name+"/"+m.Name(), func(t *testing.T) {
				transporttest.Test(t, transporttest.Stack{Target: target, Muxer: m})
			})
		}
	}
}
