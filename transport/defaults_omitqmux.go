//go:build backdialomitqmux

package transport

import (
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/yamuxmux"
)

// The linker cannot see that a program chooses another multiplexer. A build tag tells it, as
// nethttpomithttp2 does in net/http.
var defaultMuxes = []mux.Muxer{yamuxmux.New()}
