// Package libp2ptest runs the tests that libp2p has for multiplexers, which nobody of
// this library has written, on the multiplexers of this library. It is all tests, and a
// module of its own, so that this library does not require libp2p.
//
// libp2p's tests want a network.Multiplexer, which makes a session of one end of a TCP
// connection. An adapter makes it of a mux.Muxer. The end that has dialled the connection
// is the dial side, so streams are opened by the dial side in most tests, and by the
// listen side in SubtestStreamOpenStress and SubtestStreamReset.
//
// Multiplexer native needs a carrier that has streams, which TCP has not. Its sessions run
// on WebTransport connections. There is one for each TCP connection of the tests, which
// carries nothing and is closed together with it.
//
// All tests run on all multiplexers, but for one: SubtestStreamOpenStress on native is left
// out under the race detector, where it takes a minute.
//
// The tests do not use two parts of libp2p's interface that the adapter leaves out: our
// sessions have a limit of memory of their own and reserve none (network.PeerScope), and
// our streams have no CloseRead.
package libp2ptest
