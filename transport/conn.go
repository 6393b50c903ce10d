package transport

import (
	"net"

	"github.com/backdial/backdial/mux"
)

// A Conn is a connection between a server and its client. [Dialer.Dial], [Listener.Dial] and
// [Listener.Accept] return one as a [net.Conn], because a [net.Listener] accepts that and an
// [http.Transport] dials that. Use a type assertion for the other methods:
//
//	conn, err := dialer.Dial()
//	...
//	conn.(transport.Conn).CloseWrite()
//
// Package mux documents what a Conn promises, as mux.Stream. A Conn has the optional methods
// of the multiplexer's streams, with and without [WithTrace].
//
// [http.Transport]: https://pkg.go.dev/net/http#Transport
type Conn interface {
	net.Conn

	// CloseWrite ends one direction: the other end's Read returns [io.EOF] after all data. The
	// other direction goes on.
	CloseWrite() error

	// Reset ends both directions at once. The other end cannot take what it has for complete:
	// its Read and Write fail with an error that matches mux.ErrReset. What was written may be
	// lost. Reset does not block. After Reset, Close does nothing, and after Close, Reset does
	// nothing.
	//
	// A peer that uses the smux library reads [io.EOF] all the same. With a multiplexer that
	// has error codes, such as qmux and native, a Conn is a mux.CodeResetter too.
	Reset() error
}

var _ Conn = mux.Stream(nil)
