package transporttest_test

import (
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/nativemux"
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

		"webtransport": {Carrier: webtransport.New(), TLS: true},
	}
	for name, target := range targets {
		muxers := []mux.Muxer{yamuxmux.New(), smuxmux.New()}
		if _, ok := target.Carrier.(carrier.StreamCarrier); ok {
			muxers = append(muxers, nativemux.New())
		}
		for _, m := range muxers {
			t.Run(name+"/"+m.Name(), func(t *testing.T) {
				transporttest.Test(t, transporttest.Stack{Target: target, Muxer: m})
			})
		}
	}
}
