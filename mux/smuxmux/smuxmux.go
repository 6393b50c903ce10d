// Package smuxmux is the smux multiplexer, protocol version 2 of [xtaci's library], under
// the contract of package mux.
//
// It speaks the protocol on the wire, so peers may use the library. The session is our
// own, because the library's streams report a lost session as the end of a file, block
// forever when a peer closes, and stall together when a few of them are not read. The
// tests run it against the library in both roles.
//
// What protocol version 2 lacks is built from frames that the library ignores or
// understands anyway. Ping number n is a NOP for stream 4n+1, and its answer one for
// stream 4n+2. An end that takes no new streams sends a NOP for stream 3, or 7 if its
// peer broke the protocol. A message is data for stream 0. A receiver that reads no more
// claims to have consumed 2³⁰ bytes more than it did. A peer that uses the library does
// not answer pings; its own NOPs, every 10 s by default, must come more often than
// [mux.Config.KeepAliveTimeout]. So a peer that goes on sending, and has never answered a
// ping, keeps its session even if it reads nothing. Nor does the library report that it
// has accepted a stream before it has read from it: at most [mux.Config.AcceptBacklog]
// streams that wait for its side to speak can be open at a time.
//
// A reset is the claim that makes a sender give up, followed by the end of what this end
// sends. The library takes the latter for an orderly end: nothing in the protocol makes
// its Read fail. Its Write fails with ErrConsumed.
//
// [xtaci's library]: https://github.com/xtaci/smux
package smuxmux

import (
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/engine"
)

const (
	name     = "smux"
	protocol = "backdial.v1.smux"
)

// New returns the smux multiplexer. Its name is "smux", its protocol "backdial.v1.smux".
// The dial side is the smux client, the listen side the smux server.
func New() mux.Muxer { return engine.NewMuxer(wire{}, protocol) }
