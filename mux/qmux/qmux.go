// Package qmux is the multiplexer of QMux: the streams of QUIC, with its frames, on
// any connection that is reliable and keeps order.
//
// It speaks draft-ietf-quic-qmux-02, and can be the peer of other implementations,
// such as the npm package @moq/qmux in a browser, which package internal/test/interop tests:
//
//	new Session(url, {protocols: ["qmux-02.backdial.1"]})
//
// # On the wire
//
// On a byte stream a record begins with its Size (section 4 of the draft). On a
// connection that carries messages ([carrier.MessageConn]), such as a WebSocket, each
// binary message is one record and has no Size. The end that dialled the carrier is
// QUIC's client, so the streams that the dial side opens have the ids 1, 5, 9, …
//
// Close of a stream ends what this end sends (FIN); the peer is asked to stop
// (STOP_SENDING, with code 0) if it waits for room, or when more arrives of what nobody
// reads any more. A stream that is refused, reset by its user, or given up because it
// is not read, is reset both ways with code 1, or that of ResetWithCode ([mux.CodeResetter]). The
// peer's code is in a [*mux.ResetError].
//
// Close of a session sends CONNECTION_CLOSE of the application, with code 0; one that
// broke the protocol is told with which error. A carrier that ends without that was
// cut. Unidirectional streams and datagrams are not offered.
//
// # The extension
//
// What QMux cannot say, and this library does, is said only to a peer that declares
// the transport parameter 0x1bacd1a1. Its value is how many streams the peer opens
// before it waits for one to be accepted. The frames, all fields of which are integers
// of variable length:
//
//	0x1bacd1a2  accepted: of the streams that the peer opened, so many are accepted or
//	            refused
//	0x1bacd1a3  message: length, and so many bytes, which are given to
//	            [mux.Config.OnMessage]
//	0x1bacd1a4  leaving: no new streams, please
//
// Without it there are no messages, the peer of a session that drains sees its new
// streams refused, and how many streams wait to be accepted is bounded by MAX_STREAMS:
// a peer waits where one of this library is refused.
//
// # Flow control
//
// Streams begin with a window of [mux.Config.Window], which grows with the path up to
// MaxWindow. So does the window of the whole connection, which is half as large again.
// It is returned on receipt and not when something is read, so that streams which are
// not read do not stop those that are: it bounds what is under way, for all streams
// together, and so how long a small write waits behind large ones. What nobody reads is
// bounded by [mux.Config.ReceiveBuffer]: credit is returned only as far as there is memory,
// and an eighth of that stays apart for buffers that are not full. So the peer waits for
// readers when there is none. Towards a peer that has another policy, streams that it does
// not read may stop all others.
//
// # Peers that lose credit
//
// A peer has to count all that arrives, also on a stream that it has stopped (RFC 9000,
// section 4.4). Some do not: @moq/qmux 0.3.3 forgets what is on its way when its
// application cancels a stream: that much of the connection's window is lost. With more
// than half of it lost, a peer that returns credit when half has been used returns none
// any more. With the package's defaults, a window of 1 MiB and 256 KiB for a stream,
// four streams have the session stand still for good.
//
// Towards a peer that has not declared the extension, a stream therefore has a quarter
// of what can still be lost on its way, and a record in any case: 128 KiB to begin with,
// and less after streams were stopped. What has arrived is asked with QX_PING. So
// dozens of streams can be stopped at their worst moment. A session ends with an error
// that says so, which matches [mux.ErrProtocol], when more may be lost than half of the
// window, there is no credit left, somebody waits for it, and none has come for ten
// seconds. A peer that merely does not read is waited for, for ever.
//
// Whoever uses that package should ask for a larger window:
//
//	new Session(url, {protocols: ["qmux-02.backdial.1"], config: {maxData: 16n << 20n}})
//
// From 2 MiB on streams are not slowed down to begin with, and the larger the window,
// the more streams it takes to lose it. It also is what streams can hold that are not
// read, before they stop all others.
//
// # Memory
//
// In front of the carrier wait 65 KiB of data at most, 16 KiB more if they are small
// writes, and besides no more than the latest of each thing that there is to say.
package qmux

import (
	"net"

	"github.com/backdial/backdial/mux"
)

const name = "qmux"

// New returns the multiplexer. Its name is "qmux", its protocol "qmux-02.backdial.1",
// and its streams are a [*stream].
func New() mux.Muxer { return muxer{draft02} }

type muxer struct{ version *version }

func (muxer) Name() string       { return name }
func (m muxer) Protocol() string { return m.version.protocol }

func (m muxer) DialSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	return newSession(m.version, conn, dialSide, config), nil
}

func (m muxer) ListenSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	return newSession(m.version, conn, listenSide, config), nil
}
