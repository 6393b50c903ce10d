//go:build !linux

package webtransport

import "github.com/quic-go/quic-go"

// receiveTrains returns conn: only Linux has trains.
func receiveTrains(conn *udpSocket) quic.OOBCapablePacketConn { return conn }
