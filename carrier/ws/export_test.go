package ws

import (
	"net"
	"sync"

	"github.com/backdial/backdial/carrier"
)

// NewConn returns the connection of a client or a server on conn, as after a handshake.
func NewConn(conn net.Conn, isClient bool) carrier.MessageConn {
	return newConn(conn, conn, "", isClient, nil)
}

// ErrChaff is how reading ends if a peer floods a connection.
var ErrChaff error = errChaff

// PoolsForget reports whether pools forget what they get, as under the race detector.
func PoolsForget() bool {
	var pool sync.Pool
	x := new(int)
	for range 100 {
		if pool.Put(x); pool.Get() == nil {
			return true
		}
	}
	return false
}
