// Package smuxmux is the smux multiplexer, protocol version 2 of
// [xtaci's library], behind the contract of package mux.
//
// It speaks the protocol on the wire, and so with peers that use the library;
// the session behind it is our own, because the library's streams report a
// lost session as the end of a file, block for ever when a peer closes, and
// stall together when a few of them are not read. The tests run it against the
// library in both roles.
//
// What protocol version 2 lacks is made of what the library ignores or
// understands anyway: a ping with the number n is a NOP for stream 4n+1 and its
// answer one for stream 4n+2; an end that takes no new streams says so with a NOP
// for stream 3, or 7 if its peer broke the protocol; a message is data for stream
// 0; and a receiver that reads no more claims to have consumed 2³⁰ bytes more than
// it did. A peer that uses the library does not answer the ping; its own NOPs,
// each 10 s by default, have to come more often than
// [mux.Config.KeepAliveTimeout]. So a peer that goes on sending, and has never answered
// a ping, keeps its session, although it may read nothing. Nor does the library say that
// it has accepted a stream before it has read from it: of streams that wait for its side
// to speak, no more than [mux.Config.AcceptBacklog] can be open at a time.
//
// A reset is the claim that makes a sender give up, and then the end of what this end
// sends. The library takes the latter for an orderly end: the protocol has no word
// that makes its Read fail. Its Write fails with ErrConsumed.
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

// New returns the smux multiplexer. Its name is "smux", its protocol
// "backdial.v1.smux"; the dial side is the smux client, the listen side the smux
// server.
func New() mux.Muxer { return engine.NewMuxer(wire{}, protocol) }
