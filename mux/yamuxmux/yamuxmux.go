// Package yamuxmux is the yamux multiplexer, [hashicorp's], under the contract of package
// mux.
//
// It speaks the protocol on the wire, so peers may use the library, wslis among them. The
// session is our own, because the library's streams lose data when a session closes,
// report a lost session as the end of a file, and cannot be opened with a context. The
// tests run it against the library in both roles.
//
// A message of [mux.Session.Send] is data for stream 0, which the library ignores.
// A reset is RST: the library's Read and Write fail with its ErrConnectionReset, and
// it throws away what had arrived.
//
// [hashicorp's]: https://github.com/hashicorp/yamux/blob/master/spec.md
package yamuxmux

import (
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/engine"
)

const (
	name     = "yamux"
	protocol = "backdial.v1.yamux"
)

// New returns the yamux multiplexer. Its name is "yamux", its protocol
// "backdial.v1.yamux". The dial side is the yamux client, the listen side the yamux
// server.
func New() mux.Muxer { return engine.NewMuxer(wire{}, protocol) }
