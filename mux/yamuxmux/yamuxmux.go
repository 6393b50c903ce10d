// Package yamuxmux is the yamux multiplexer, [hashicorp's], behind the
// contract of package mux.
//
// It speaks the protocol on the wire, and so with the peers that use the
// library, wslis among them; the session behind it is our own, because the
// library's streams lose data when a session closes, report a lost session as
// the end of a file, and cannot be opened with a context. The tests run it
// against the library in both roles.
//
// [hashicorp's]: https://github.com/hashicorp/yamux/blob/master/spec.md
package yamuxmux

import (
	"net"

	"github.com/backdial/backdial/internal/engine"
	"github.com/backdial/backdial/mux"
)

const (
	name     = "yamux"
	protocol = "backdial.v1.yamux"
)

// A Muxer implements [mux.Muxer].
type Muxer struct{}

var _ mux.Muxer = Muxer{}

// New returns the yamux multiplexer.
func New() Muxer { return Muxer{} }

// Name returns "yamux".
func (Muxer) Name() string { return name }

// Protocol returns "backdial.v1.yamux".
func (Muxer) Protocol() string { return protocol }

// DialSide implements [mux.Muxer] as the yamux client.
func (Muxer) DialSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	return engine.New(wire{}, conn, engine.DialSide, config), nil
}

// ListenSide implements [mux.Muxer] as the yamux server.
func (Muxer) ListenSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	return engine.New(wire{}, conn, engine.ListenSide, config), nil
}
