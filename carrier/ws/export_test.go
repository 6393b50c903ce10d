package ws

import (
	"net"

	"github.com/backdial/backdial/carrier"
)

// NewConn returns the connection of a client or a server on conn, as it is after a
// handshake.
func NewConn(conn net.Conn, isClient bool) carrier.MessageConn {
	return newConn(conn, conn, "", isClient, nil)
}
