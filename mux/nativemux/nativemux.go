// Package nativemux is a multiplexer that does not multiplex: it hands out the
// streams that a carrier has of its own, such as those of WebTransport, behind
// the contract of package mux.
//
// # On the wire
//
// The protocol is "backdial.v1.native". A stream of a session is a
// bidirectional stream of the carrier and nothing else, so a program that
// speaks the carrier can be a client without this package, a web page for
// instance: it accepts streams, reads and writes.
//
// Close of a stream ends what this end sends (FIN) and asks the peer to stop
// (STOP_SENDING, with code 0). A stream that is refused, reset by its user, or given
// up because nobody reads it, is reset both ways with code 1, or that of
// ResetWithCode ([mux.CodeResetter]), upon which the carrier may discard what had
// arrived and was not read. The peer's code is in a [*mux.ResetError].
//
// What a carrier cannot say by itself, the ends say on the bytes of the
// connection itself (see [carrier.StreamConn]), which is one more stream that
// the client opens first. It carries messages, each a sequence of unsigned
// varints in the form of [encoding/binary], of which the first is its kind:
//
//	0 hello     backlog: the first message, once
//	1 accepted  total: of the streams that the peer opened, so many are
//	            accepted or refused
//	2 ping      number
//	3 pong      number: of the ping that is answered
//	4 leaving   no new streams, please
//	5 closing   opened, n, n times (stream, bytes): all that this end opened
//	            and wrote; the streams named were not finished
//	6 closed    everything of closing has arrived
//	7 message   n, n bytes: what is given to [mux.Config.OnMessage]
//
// A client that does not open it, such as a web page, is served all the same,
// but for this: Open does not wait for it to accept streams, its silence is
// noticed by the carrier only, it gets no messages, and Close on the server cannot
// know that it has everything, so it waits for a moment and hopes.
package nativemux

import (
	"fmt"
	"net"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/mux"
)

const (
	name     = "native"
	protocol = "backdial.v1.native"
)

// Codes of streams that are canceled.
const (
	codeClosed  = 0 // by its user
	codeRefused = 1 // nobody accepts it, or nobody reads it, or its user resets it
)

// New returns the multiplexer of a carrier's own streams. Its name is
// "native", its protocol "backdial.v1.native". It is a [mux.StreamMuxer].
//
// [mux.Config.Window] and MaxWindow have no meaning here: windows are the
// carrier's. Nor does the carrier say what it holds, so a stream that is not read counts against
// [mux.Config.ReceiveBuffer] with what its window may have grown to, and if the
// carrier's window of all streams is less than the buffer, that less a reserve is
// what counts: the windows of eight new streams, or of one that has grown.
func New() mux.Muxer { return muxer{} }

type muxer struct{}

var _ mux.StreamMuxer = muxer{}

func (muxer) Name() string     { return name }
func (muxer) Protocol() string { return protocol }
func (muxer) NeedsStreams()    {}

func (muxer) DialSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	return start(conn, config, false)
}

func (muxer) ListenSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	return start(conn, config, true)
}

func start(conn net.Conn, config mux.Config, listenSide bool) (mux.Session, error) {
	streams, ok := conn.(carrier.StreamConn)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("native: a connection over %s has no streams of its own: "+
			"choose a carrier that has, such as webtransport, or another multiplexer", conn.LocalAddr().Network())
	}
	return newSession(streams, config, listenSide), nil
}
