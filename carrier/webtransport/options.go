package webtransport

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/backdial/backdial/internal/origin"
	"github.com/backdial/backdial/internal/setting"
)

const (
	defaultHandshakeTimeout = 10 * time.Second
	defaultKeepAlive        = 20 * time.Second // longer than that of sessions, which ask by themselves
	defaultIdleTimeout      = 45 * time.Second

	defaultClientStreams = 1 << 16
	defaultServerStreams = 64

	// maxSilence is how long a handshake waits for the first answer of a server.
	maxSilence = 5 * time.Second

	// uniStreams is how many unidirectional streams a peer may open. HTTP/3 needs three
	// (RFC 9114, section 6.2), and browsers open one more to test for tolerance.
	uniStreams = 8
)

// An Option changes a setting of a [Carrier].
type Option func(*Carrier)

// WithCheckOrigin sets the function that decides whether Upgrade accepts a request, by
// its Origin header, which browsers send. If it returns false, Upgrade answers with
// status 403. The default, also for nil, accepts requests without an Origin, and those
// whose Origin has the host that the request is for.
func WithCheckOrigin(check func(*http.Request) bool) Option {
	if check == nil {
		check = origin.Same
	}
	return func(c *Carrier) { c.checkOrigin = check }
}

// WithAllowedOrigins makes Upgrade accept requests from pages of these origins too, such
// as "https://app.example:8443". The default rule of [WithCheckOrigin] still accepts the
// others that it accepts. Origins must match exactly: there are no wildcards.
func WithAllowedOrigins(origins ...string) Option {
	return WithCheckOrigin(origin.Among(origins))
}

// WithHandshakeTimeout bounds how long Dial takes, in addition to its context. 0 means
// the default: 10 s, or no bound if Dial's context has a deadline. Negative means no
// bound. In any case Dial gives up a server from which nothing arrives for half that
// time, or for 5 s.
func WithHandshakeTimeout(d time.Duration) Option {
	return func(c *Carrier) { c.handshakeTimeout = d }
}

// WithKeepAlive sets how long a connection may be silent before this end sends a packet,
// which shows the peer, and NATs on the way, that it is in use. It must be shorter than
// the idle timeout; quic-go limits it to half of that. 0 means the default, which is 20
// s: sessions of package mux ask more often by default. Negative means that none is sent.
func WithKeepAlive(d time.Duration) Option {
	return func(c *Carrier) { c.keepAlive = max(cmp.Or(d, defaultKeepAlive), 0) }
}

// WithIdleTimeout sets how long a connection may go without a packet from the peer before
// it fails (RFC 9000, section 10.1). The shorter timeout of both ends applies. It
// restarts with the first packet that is sent in vain: after the path has died, an idle
// connection fails within the time of [WithKeepAlive] plus this one, a busy one within
// twice this one. Multiplexers have a keepalive of their own, which notices earlier. 0
// means the default, which is 45 s; negative means that this end has no timeout.
func WithIdleTimeout(d time.Duration) Option {
	return func(c *Carrier) { c.idleTimeout = setting.Timeout(d, defaultIdleTimeout) }
}

// WithWindows sets how many unread bytes this end takes from its peer: on a new stream,
// on a stream at most, and on a connection, which bounds what a peer can make this end
// hold. A stream's window bounds its throughput to the window per round trip. It grows
// while the stream is read faster than that, up to a quarter of the connection's window.
// Three quarters of the connection's window are for unread data: beyond that, all streams
// wait. The native multiplexer stays below, if its peer uses it too. The defaults are 512
// KiB, 6 MiB, which is some 50 MB/s at a round trip of 100 ms, and 96 MiB, three quarters
// of which are more than the receive buffer of a session. QUIC needs windows: 0 and
// negative values mean the default.
//
// quic-go ends a connection when a stream has more than 1,000 gaps at a time, that is, when
// so many packets of its window are lost, or late, between others that are not. Windows of
// 16 MiB got there on some simulated paths of 40 to 60 MB/s with long queues, and those of
// 8 MiB and less did not. Several streams carry more than one large window does.
func WithWindows(stream, maxStream, connection int) Option {
	return func(c *Carrier) {
		if stream > 0 {
			c.streamWindow = stream
		}
		if maxStream > 0 {
			c.maxStreamWindow = maxStream
		}
		if connection > 0 {
			c.connWindow = connection
		}
	}
}

// WithMaxStreams sets how many streams a peer may have open at a time. A client's first
// two are its request and the connection's own bytes. The defaults, also for 0, are
// 65,536 for servers that Dial connects to, because servers open the streams here, and 64
// for a server's clients. Negative means no limit.
func WithMaxStreams(ofServer, ofClient int) Option {
	return func(c *Carrier) {
		c.clientStreams = setting.Limit(ofServer, defaultClientStreams)
		c.serverStreams = setting.Limit(ofClient, defaultServerStreams)
	}
}

// WithListenPacket sets how Dial gets its UDP sockets, one for each address of the host
// that it tries. It is for programs that bind to an interface or mark their sockets, and
// for tests. network is "udp4" or "udp6", and address ":0". ctx bounds the call, not the
// socket. Dial closes a socket that it does not use for the connection; otherwise the
// socket is closed when the connection ends. The default, also for nil, is that of
// [net.ListenConfig].
func WithListenPacket(listen func(ctx context.Context, network, address string) (net.PacketConn, error)) Option {
	if listen == nil {
		listen = new(net.ListenConfig).ListenPacket
	}
	return func(c *Carrier) { c.listenPacket = listen }
}

// quicConfig fills in what base, which may be nil, leaves zero.
func (c *Carrier) quicConfig(base *quic.Config, maxStreams int) *quic.Config {
	q := new(quic.Config)
	if base != nil {
		q = base.Clone()
	}
	q.EnableDatagrams = true
	q.EnableStreamResetPartialDelivery = true
	fill(&q.KeepAlivePeriod, c.keepAlive)
	fill(&q.MaxIdleTimeout, c.idleTimeout)
	fill(&q.MaxIncomingStreams, int64(maxStreams))
	fill(&q.MaxIncomingUniStreams, uniStreams)
	// A window grows only when its data is read. The connection's must have its full size
	// from the start, or streams that nobody reads would use it up.
	fill(&q.MaxConnectionReceiveWindow, uint64(c.connWindow))
	fill(&q.MaxStreamReceiveWindow, max(min(uint64(c.maxStreamWindow), q.MaxConnectionReceiveWindow/4), uint64(c.streamWindow)))
	fill(&q.InitialStreamReceiveWindow, min(q.MaxStreamReceiveWindow, uint64(c.streamWindow)))
	fill(&q.InitialConnectionReceiveWindow, min(q.MaxConnectionReceiveWindow, uint64(c.connWindow)))
	return q
}

// fill sets field if it is zero.
func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
