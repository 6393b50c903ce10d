package transport

import (
	"net"
	"time"
)

// Info describes a session. Carrier, Mux and Protocol are the same on both of its ends.
type Info struct {
	// Carrier and Mux are short names, such as "ws" and "yamux".
	Carrier, Mux string

	// Protocol is what the ends negotiated, such as "backdial.v1.yamux", or "" for a peer that
	// does not negotiate.
	Protocol string

	// LocalAddr and RemoteAddr are the addresses of the carrier's connection.
	LocalAddr, RemoteAddr net.Addr

	// Since is when the session began.
	Since time.Time

	// Session is the ID of the session on this end, 12 characters that no other session has.
	// Every line of the log about the session has it.
	Session string

	// Client is, on a server, the name that [NameClient] has set, as package fleet does, or
	// "".
	Client string

	// Server is the ID of the server ([WithServerID]), or "" if it has none. A client knows it
	// a moment after the session has begun, and only if the ends negotiated. Nothing vouches
	// for what the server says.
	Server string

	// RoundTrip is the latest round trip to the other end, or 0 if none is known yet. It is
	// measured with the first connection, and by the keepalive.
	RoundTrip time.Duration

	// Streams is how many connections are in use: dialled or accepted on this end, and not
	// closed yet.
	Streams int

	// Fallback tells, on a client, why the carriers that it prefers to this one are not in
	// use: how each failed, that it had no session when this one did ([ErrLostRace]), or until
	// when it is passed over, and why. It is nil if the client's first carrier is in use, and
	// on a server.
	Fallback error
}
