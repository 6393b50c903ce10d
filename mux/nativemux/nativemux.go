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
//	2 ping      number: 2^63 says that this end counts bytes, right after hello
//	3 pong      number: of the ping that is answered
//	4 leaving   no new streams, please
//	5 closing   opened, n, n times (stream, bytes): all that this end opened
//	            and wrote; the streams named were not finished
//	6 closed    everything of closing has arrived; a second later this end
//	            closes the connection, if the peer has not
//	7 message   n, n bytes: what is given to [mux.Config.OnMessage]
//	8 credit    limit, n, n times (stream, read): the peer may send so many
//	            bytes in all, and of these streams this end has read so many
//	9 ended     n, n times (stream, read): this end is done with these streams,
//	            after it has read so many bytes of them
//	10 demands  n, n times (stream, sent, wants): a Write waits for credit, and
//	            these streams have sent, and want to send, so many bytes; or
//	            none waits any more, and n is 0
//
// A client that does not open it, such as a web page, is served all the same,
// but for this: Open does not wait for it to accept streams, its silence is
// noticed by the carrier only, it gets no messages, and Close on the server cannot
// know that it has everything, so it waits for a moment and hopes.
//
// # Streams that are read slowly
//
// If both ends count bytes, a Write takes credit before it hands bytes to the carrier. It
// gets that back when the peer's application has read them, or the peer is done with the
// stream: what was sent on an ended stream and not read counts no more. So the window that
// the carrier has for all streams never fills up, which would stop control messages too.
// A stream may have as much unread as there is credit left, so there is always some for a
// new one. Both ends count from the beginning, and the limit holds from the moment at which
// it is heard.
//
// A stream is reset for lack of memory only while another waits for credit, and only if
// it is abandoned, as with the other multiplexers: its reader rests for twice as long as it
// has before, and 5 s in any case, or 0.6 s if it has hardly read at all; or all readers
// together take more than 10 s for what there is, and so does this one. Of abandoned
// streams those that hold most are reset, until a quarter of the memory is free.
//
// Of a peer that does not count, such as a web page, an end knows only which streams are
// not read. It takes their windows for full, and resets those that are abandoned if all
// of these do not fit.
package nativemux

import (
	"fmt"
	"net"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/mux"
)

const (
	name  = "native"
	token = "backdial.v1.native"
)

// Codes of streams that are canceled.
const (
	codeClosed  = 0 // by its user
	codeRefused = 1 // nobody accepts it, or nobody reads it, or its user resets it
)

// New returns the multiplexer of a carrier's own streams. Its name is
// "native", its protocol "backdial.v1.native". It is a [mux.StreamMuxer].
//
// [mux.Config.Window] and MaxWindow have no meaning here: windows are the carrier's.
// [mux.Config.ReceiveBuffer] is how many bytes may be unread in all, less a sixteenth for
// what the carrier needs to hold them, and not more than the carrier's window of all
// streams, less a sixteenth. 64 KiB is the least. For a peer that does not count, the
// carrier's window is taken less a reserve: the windows of eight new streams, or of one that
// has grown.
func New() mux.Muxer { return muxer{} }

type muxer struct{}

var _ mux.StreamMuxer = muxer{}

func (muxer) Name() string     { return name }
func (muxer) Protocol() string { return token }
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
