// Package libp2ptest runs libp2p's tests for multiplexers, which this library's authors
// have not written, on this library's multiplexers. It contains only tests, and is a
// module of its own so that this library does not require libp2p.
//
// libp2p's tests need a network.Multiplexer, which makes a session from one end of a TCP
// connection. An adapter makes one from a mux.Muxer. The end that dialled the connection
// is the dial side, so the dial side opens the streams in most tests, and the listen side
// in SubtestStreamOpenStress and SubtestStreamReset.
//
// Multiplexer native needs a carrier with streams, which TCP is not. Its sessions run on
// WebTransport connections, one for each TCP connection of the tests. The TCP connection
// carries nothing and is closed together with the other.
//
// All tests run on all multiplexers, except SubtestStreamOpenStress on native under the
// race detector, where it takes a minute.
//
// The adapter leaves out two parts of libp2p's interface that the tests do not use: our
// sessions have their own memory limit and reserve none (network.PeerScope), and our
// streams have no CloseRead.
package libp2ptest
