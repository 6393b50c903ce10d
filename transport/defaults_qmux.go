//go:build !backdialomitqmux

package transport

import (
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/yamuxmux"
)

var defaultMuxes = []mux.Muxer{qmux.New(), yamuxmux.New()}
