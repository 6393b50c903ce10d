package transport

import (
	"net"

	"github.com/backdial/backdial/mux"
)

// A Conn is a connection between a server and its client: what [Dialer.Dial] and
// [Listener.Dial] return, and what [Listener.Accept] does. They return it as a
// [net.Conn], because that is what a [net.Listener] accepts and an
// [http.Transport] dials; who needs the rest asserts it:
//
//	conn, err := dialer.Dial()
//	...
//	conn.(transport.Conn).CloseWrite()
//
// What it promises is written in package mux, of a Stream. It has the optional methods
// that the multiplexer's streams have, with [WithTrace] and without.
//
// [http.Transport]: https://pkg.go.dev/net/http#Transport
type Conn interface {
	net.Conn

	// CloseWrite ends one direction: the other end's Read returns [io.EOF] after
	// the rest. The other direction goes on.
	CloseWrite() error

	// Reset ends both directions at once, so that the other end cannot take what it
	// has for all there is: its Read and Write fail with an error that matches
	// mux.ErrReset. What was written may be lost. It waits for nothing. Close after
	// it does nothing, nor does Reset after Close.
	//
	// A peer that uses the smux library reads [io.EOF] all the same. Where the
	// multiplexer has codes, as qmux and native do, a Conn is a mux.CodeResetter too.
	Reset() error
}

var _ Conn = mux.Stream(nil)
