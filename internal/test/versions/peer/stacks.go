package main

import (
	"fmt"
	"slices"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// A stack is a carrier and a multiplexer. All have TLS.
type stack struct {
	name    string
	carrier carrier.Carrier
	options []transport.Option
}

// stacks returns all combinations, and the default of a client without options.
func stacks() []stack {
	all := []stack{{"default", ws.New(), nil}}
	for _, c := range []carrier.Carrier{ws.New(), webtransport.New()} {
		for _, m := range []mux.Muxer{yamuxmux.New(), smuxmux.New(), qmux.New(), nativemux.New()} {
			_, needsStreams := m.(mux.StreamMuxer)
			if _, has := c.(carrier.StreamCarrier); needsStreams && !has {
				continue
			}
			all = append(all, stack{
				name:    c.Name() + "/" + m.Name(),
				carrier: c,
				options: []transport.Option{transport.WithCarriers(c), transport.WithMuxes(m)},
			})
		}
	}
	return all
}

func stackNamed(name string) (stack, error) {
	all := stacks()
	i := slices.IndexFunc(all, func(s stack) bool { return s.name == name })
	if i < 0 {
		return stack{}, fmt.Errorf("no such stack")
	}
	return all[i], nil
}
