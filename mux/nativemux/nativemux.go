// Package nativemux is a multiplexer that does not multiplex: it uses the carrier's own
// streams, such as those of WebTransport, and keeps the contract of package mux.
//
// # On the wire
//
// The protocol is "backdial.v1.native". A stream of a session is exactly one
// bidirectional stream of the carrier, so any program that speaks the carrier, such as a
// web page, can be a client without this package: it accepts streams, reads and writes.
//
// Close of a stream ends what this end sends (FIN) and asks the peer to stop
// (STOP_SENDING, with code 0). A stream is reset both ways if this end refuses it, its
// user resets it, or nobody reads it. The code is 1, or that of ResetWithCode
// ([mux.CodeResetter]), and the carrier may then discard what has arrived unread. The
// peer's code is in a [*mux.ResetError].
//
// The ends say everything else on the bytes of the connection itself (see
// [carrier.StreamConn]), which are one more stream that the client opens first. It
// carries messages. Each is a sequence of unsigned varints as in [encoding/binary]. The
// first is the kind:
//
//	0 hello     backlog: the first message, once
//	1 accepted  total: how many of the peer's streams have been
//	            accepted or refused
//	2 ping      number: 2^63 says that this end counts bytes, right after hello
//	3 pong      number: that of the ping
//	4 leaving   open no new streams
//	5 closing   opened, n, n times (stream, bytes): all that this end opened
//	            and wrote; the streams named were not finished
//	6 closed    everything of closing has arrived; a second later this end
//	            closes the connection, if the peer has not
//	7 message   n, n bytes: a message for [mux.Config.OnMessage]
//	8 credit    limit, n, n times (stream, read): the peer may send so many
//	            bytes in all, and of these streams this end has read so many
//	9 ended     n, n times (stream, read): this end is done with these streams,
//	            after it has read so many bytes of them
//	10 demands  n, n times (stream, sent, wants): a Write waits for credit, and
//	            these streams have sent, and want to send, so many bytes; or
//	            none waits any more, and n is 0
//
// A client may leave this stream out, as a web page does. Then Open does not wait for the
// client to accept streams, only the carrier notices that the client is silent, the
// client gets no messages, and Close on the server cannot know whether the client has
// everything, so it just waits for a moment.
//
// # Streams that are read slowly
//
// If both ends count bytes, a Write takes credit before it hands bytes to the carrier.
// The credit returns when the peer's application has read them, or the peer is done with
// the stream: unread bytes of an ended stream no longer count. So the carrier's window
// for all streams never fills up, which would stop control messages too. A stream may
// have as much unread as there is credit left, so a new stream always gets some. Both
// ends count from the beginning, and the limit applies from the moment it arrives.
//
// A stream is reset for lack of memory only while another waits for credit, and only if
// it is abandoned, as with the other multiplexers: its reader rests for twice as long as
// ever before, and at least 5 s, or 0.6 s if it has hardly read at all; or all readers
// together take more than 10 s for what there is, and so does this one. The fullest
// abandoned streams are reset, until a quarter of the memory is free.
//
// If the peer does not count, as a web page does not, this end knows only which streams
// are not read. It assumes that their windows are full, and resets abandoned ones if all
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

// Codes of cancelled streams.
const (
	codeClosed  = 0 // closed by its user
	codeRefused = 1 // not accepted, not read, or reset by its user
)

// New returns the multiplexer for a carrier's own streams. Its name is "native", its
// protocol "backdial.v1.native". It is a [mux.StreamMuxer].
//
// [mux.Config.Window] and MaxWindow have no effect: windows are the carrier's.
// [mux.Config.ReceiveBuffer] is how many bytes may be unread in total, less a sixteenth
// that the carrier needs to hold them, and at most the carrier's window for all streams,
// less a sixteenth. The minimum is 64 KiB. If the peer does not count, the limit is the
// carrier's window less a reserve: the windows of eight new streams, or of one that has
// grown.
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
			"choose a carrier that does, such as webtransport, or another multiplexer", conn.LocalAddr().Network())
	}
	return newSession(streams, config, listenSide), nil
}
