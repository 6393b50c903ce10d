// Package qmux is the multiplexer of QMux: the streams and frames of QUIC on any
// reliable, ordered connection.
//
// It speaks draft-ietf-quic-qmux-02, also with other implementations, such as the npm
// package @moq/qmux in a browser, which package internal/test/interop tests:
//
//	new Session(url, {protocols: ["qmux-02.backdial.1"]})
//
// # On the wire
//
// On a byte stream a record begins with its Size (section 4 of the draft). On a
// connection that carries messages ([carrier.MessageConn]), such as a WebSocket, each
// binary message is one record and has no Size. The end that dialled the carrier is
// QUIC's client, so the dial side opens streams 1, 5, 9, …
//
// Close of a stream ends what this end sends (FIN). It asks the peer to stop
// (STOP_SENDING, with code 0) if the peer waits for room, or when more data arrives. A
// stream is reset both ways if this end refuses it, its user resets it, or nobody reads
// it. The code is 1, or that of ResetWithCode ([mux.CodeResetter]). The peer's code is in
// a [*mux.ResetError].
//
// Close of a session sends CONNECTION_CLOSE of the application, with code 0. A peer that
// broke the protocol gets CONNECTION_CLOSE with the transport error. If the carrier ends
// without either, the connection was cut. Unidirectional streams and datagrams are not
// offered.
//
// The ends may exchange their parameters while the carrier connects ([mux.Greeter]). Then
// the client does not send them, and the server only in front of what it sends first.
//
// # The extension
//
// Some things that this library says have no frame in QMux. It says them only to a peer
// that declares the transport parameter 0x1bacd1a1. The parameter's value is how many
// streams the peer opens before it waits for one to be accepted. All fields of these
// frames are variable-length integers:
//
//	0x1bacd1a2  accepted: how many of the peer's streams have been accepted or
//	            refused
//	0x1bacd1a3  message: length, then so many bytes for
//	            [mux.Config.OnMessage]
//	0x1bacd1a4  leaving: open no new streams
//
// Without the extension there are no messages, a session that shuts down refuses the
// peer's new streams, and MAX_STREAMS bounds how many streams wait to be accepted: the
// peer waits where a peer of this library is refused.
//
// # Flow control
//
// A stream begins with a window of [mux.Config.Window], which grows with the path up to
// MaxWindow. The window of the whole connection is twice as large and grows too. Its credit
// is returned on receipt and not on Read, so unread streams do not stop others: it bounds
// what all streams together have on their way, and so how long a small write waits behind
// large ones. [mux.Config.ReceiveBuffer] bounds unread data: credit is returned only while
// there is memory, of which an eighth is reserved for buffers that are partly filled.
// Without memory the peer waits for readers. A peer with another policy may stop all
// streams when some are not read.
//
// # Peers that lose credit
//
// A peer must count everything that arrives, even on a stream that it has stopped (RFC
// 9000, section 4.4). Some do not. When an application cancels a stream, @moq/qmux 0.3.3
// forgets what is on its way, and that much of the connection's window is lost. A peer
// that returns credit when half has been used returns none once more than half is lost.
// With that package's defaults, a window of 1 MiB and 256 KiB for a stream, four
// cancelled streams stop the session for good.
//
// So towards a peer without the extension, a stream has at most a quarter of what can
// still be lost on its way, but always one record: 128 KiB initially, and less after
// streams were stopped. QX_PING asks what has arrived. Dozens of streams can then be
// stopped at the worst moment. A session ends with an error that says so and matches
// [mux.ErrProtocol] when more than half of the window may be lost, there is no credit
// left, a Write waits for it, and none has come for ten seconds. If the peer merely does
// not read, the session waits for it indefinitely.
//
// Users of that package should ask for a larger window:
//
//	new Session(url, {protocols: ["qmux-02.backdial.1"], config: {maxData: 16n << 20n}})
//
// From 2 MiB on, streams are not slowed down initially, and the larger the window, the
// more stopped streams it survives. It also bounds what unread streams can hold before
// they stop all others.
//
// # Memory
//
// At most 65 KiB of data wait for the carrier, and 257 KiB while it takes 64 KiB in 0.1 ms
// and nobody writes less than 1 KiB at a time. There is room for 16 KiB more of small writes,
// and for the latest value of each control frame.
package qmux

import (
	"net"

	"github.com/backdial/backdial/mux"
)

const name = "qmux"

// New returns the multiplexer. Its name is "qmux" and its protocol "qmux-02.backdial.1".
func New() mux.Muxer { return muxer{draft02} }

type muxer struct{ version *version }

func (muxer) Name() string       { return name }
func (m muxer) Protocol() string { return m.version.protocol }

func (m muxer) DialSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	return m.start(conn, dialSide, config)
}

func (m muxer) ListenSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	return m.start(conn, listenSide, config)
}

func (m muxer) start(conn net.Conn, side side, config mux.Config) (mux.Session, error) {
	if config.Greeting == nil {
		return newSession(m.version, conn, side, config), nil
	}
	met, err := m.version.parseParameters(config.Greeting)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return newGreeted(m.version, conn, side, config, met), nil
}
