// Package mixed makes sessions whose two ends are different implementations of one
// protocol.
package mixed

import (
	"net"

	"github.com/backdial/backdial/mux"
)

// A Muxer uses one muxer on the dial side, and another on the listen side.
type Muxer struct{ Dial, Listen mux.Muxer }

// Name implements [mux.Muxer].
func (m Muxer) Name() string { return m.Dial.Name() + "-to-" + m.Listen.Name() }

// Protocol implements [mux.Muxer].
func (m Muxer) Protocol() string { return m.Dial.Protocol() }

// DialSide implements [mux.Muxer].
func (m Muxer) DialSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	return m.Dial.DialSide(conn, config)
}

// ListenSide implements [mux.Muxer].
func (m Muxer) ListenSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	return m.Listen.ListenSide(conn, config)
}
