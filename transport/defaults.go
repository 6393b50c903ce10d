package transport

import (
	"log/slog"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/yamuxmux"
)

// What is used unless options say otherwise. This is the only file of the
// package that names an implementation.
var (
	defaultCarriers = []carrier.Carrier{ws.New()}
	defaultMuxes    = []mux.Muxer{yamuxmux.New()}
)

const (
	// defaultHandshakeTimeout is enough for a slow mobile network, and short
	// enough for a person who waits.
	defaultHandshakeTimeout = 10 * time.Second

	// maxHeaderBytes limits the header of a request on servers of our own.
	maxHeaderBytes = 64 << 10
)

// withDefaults returns c with everything set.
func (c config) withDefaults() config {
	if len(c.carriers) == 0 {
		c.carriers = defaultCarriers
	}
	if len(c.muxes) == 0 {
		c.muxes = defaultMuxes
	}
	if c.handshakeTimeout <= 0 {
		c.handshakeTimeout = defaultHandshakeTimeout
	}
	if c.logger == nil {
		c.logger = slog.New(slog.DiscardHandler)
	}
	return c
}
