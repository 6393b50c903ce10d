package transport

import (
	"net"
	"time"
)

// Info describes a session. Carrier, Mux and Protocol are the same on both of
// its ends.
type Info struct {
	// Carrier and Mux are short names, such as "ws" and "yamux".
	Carrier, Mux string

	// Protocol is what was negotiated, such as "backdial.v1.yamux", or "" for
	// a peer that does not negotiate.
	Protocol string

	// LocalAddr and RemoteAddr are those of the carrier's connection.
	LocalAddr, RemoteAddr net.Addr

	// Since is when the session began.
	Since time.Time

	// Session is the ID of the session on this end, which no other has: 12 characters. Each
	// line of the log that is about the session has it.
	Session string

	// Client is who the client is, on a server: what [NameClient] has been told, by package
	// fleet for instance, or "".
	Client string

	// Server is the ID of the server ([WithServerID]), or "" if it has none. A client
	// knows it a moment after the session has begun, and only if something was
	// negotiated. It is what the server says: nothing vouches for it.
	Server string

	// RoundTrip is how long the other end took to answer the last time that it was
	// asked, or 0 if nothing is known yet: it is asked with the first connection,
	// and for keepalive.
	RoundTrip time.Duration

	// Streams is how many connections are in use: dialled or accepted on this end,
	// and not closed yet.
	Streams int

	// Fallback tells, on a client, why the carriers that it prefers to this one
	// are not in use: how each of them failed, that it had no session yet when
	// this one did ([ErrLostRace]), or until when it is passed over, and why. It
	// is nil if the client's first carrier is in use, and on a server.
	Fallback error
}
