package webtransport

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/backdial/backdial/internal/origin"
	"github.com/backdial/backdial/internal/setting"
)

const (
	defaultHandshakeTimeout = 10 * time.Second
	defaultKeepAlive        = 10 * time.Second
	defaultIdleTimeout      = 45 * time.Second

	// maxSilence is how long a handshake waits for a server from which nothing
	// has come.
	maxSilence = 5 * time.Second

	// uniStreams is how many unidirectional streams a peer may open. HTTP/3
	// needs three (RFC 9114, section 6.2), and browsers add one to see whether
	// that is tolerated.
	uniStreams = 8
)

// An Option changes a setting of a [Carrier].
type Option func(*Carrier)

// WithCheckOrigin sets the function that decides whether Upgrade accepts a
// request, going by its Origin header, which browsers send. If it reports
// false the request is answered with status 403. The default, which nil means
// as well, accepts requests without an Origin, and those whose Origin has the
// host that the request is for.
func WithCheckOrigin(check func(*http.Request) bool) Option {
	if check == nil {
		check = origin.Same
	}
	return func(c *Carrier) { c.checkOrigin = check }
}

// WithAllowedOrigins makes Upgrade accept requests from pages of these origins
// too, such as "https://app.example:8443", besides those that the default of
// [WithCheckOrigin] accepts. An origin is compared as it is: there are no
// wildcards.
func WithAllowedOrigins(origins ...string) Option {
	origins = slices.Clone(origins)
	return func(c *Carrier) {
		c.checkOrigin = func(r *http.Request) bool {
			return origin.Same(r) || slices.Contains(origins, r.Header.Get("Origin"))
		}
	}
}

// WithHandshakeTimeout bounds how long Dial takes, in addition to its context.
// 0 means the default, which is 10 s, but for a Dial whose context has a
// deadline of its own nothing more; negative means no bound. A server of which
// nothing is heard for half that time, or for 5 s, is given up in any case.
func WithHandshakeTimeout(d time.Duration) Option {
	return func(c *Carrier) { c.handshakeTimeout = d }
}

// WithKeepAlive sets how long a connection may be silent before this end sends
// a packet that shows the peer, and the NATs on the way, that it is in use. It
// has to be shorter than the idle timeout, of which quic-go makes it half at
// most. 0 means the default, which is 10 s; negative means that none is sent.
func WithKeepAlive(d time.Duration) Option {
	return func(c *Carrier) { c.keepAlive = max(cmp.Or(d, defaultKeepAlive), 0) }
}

// WithIdleTimeout sets after how long without a packet of the peer a
// connection has failed (RFC 9000, section 10.1). The shorter one of both ends
// counts. It begins anew with the first packet that is sent in vain: an idle
// connection fails within the time of [WithKeepAlive] and this one after the
// path has died, a busy one within twice this one. Multiplexers have a
// keepalive of their own, which is sooner. 0 means the default, which is 45 s;
// negative means that this end does not time out.
func WithIdleTimeout(d time.Duration) Option {
	return func(c *Carrier) { c.idleTimeout = setting.Timeout(d, defaultIdleTimeout) }
}

// WithWindows sets how many bytes that nobody has read this end takes from its
// peer: on a stream at first, on a stream at most, and on a connection, whose
// window is what a peer can make this end hold. A stream's window bounds its
// throughput, to the window per round trip. It grows while the stream is read
// faster than that, so far that it takes no more than a quarter of the
// connection's. Three quarters of that are for what is not read: with more, all
// streams wait. The native multiplexer keeps below that, if its peer has it too. The
// defaults are 512 KiB, 2 MiB, which is 20 MB/s at a round trip of 100 ms, and 96 MiB,
// three quarters of which are more than the receive buffer of a session. 0 means the
// default.
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

// WithMaxStreams sets how many streams a peer may have open at a time. A
// client's first two are taken, by its request and by the connection's own
// bytes. The defaults, which 0 means as well, are 65,536 for the servers that
// Dial connects to, because it is they who open streams here, and 64 for the
// clients that a server has.
func WithMaxStreams(ofServer, ofClient int) Option {
	return func(c *Carrier) {
		if ofServer > 0 {
			c.clientStreams = ofServer
		}
		if ofClient > 0 {
			c.serverStreams = ofClient
		}
	}
}

// WithListenPacket sets how Dial gets its UDP socket, one for each address of
// the host that it tries: for programs that bind to an interface or mark their
// sockets, and for tests. network is "udp4" or "udp6", and address ":0". ctx
// bounds the call, not the socket. Dial closes the socket if it makes no
// connection of it, and otherwise it is closed when the connection ends. The
// default, which nil means as well, is that of [net.ListenConfig].
func WithListenPacket(listen func(ctx context.Context, network, address string) (net.PacketConn, error)) Option {
	if listen == nil {
		listen = new(net.ListenConfig).ListenPacket
	}
	return func(c *Carrier) { c.listenPacket = listen }
}

// quicConfig fills in what base, which may be nil, leaves to us.
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
	// A window grows only when its data is read. That of the connection has to
	// be there from the start, or streams that nobody reads would use it up.
	fill(&q.MaxConnectionReceiveWindow, uint64(c.connWindow))
	fill(&q.MaxStreamReceiveWindow, max(min(uint64(c.maxStreamWindow), q.MaxConnectionReceiveWindow/4), uint64(c.streamWindow)))
	fill(&q.InitialStreamReceiveWindow, min(q.MaxStreamReceiveWindow, uint64(c.streamWindow)))
	fill(&q.InitialConnectionReceiveWindow, min(q.MaxConnectionReceiveWindow, uint64(c.connWindow)))
	return q
}

// fill sets what is zero.
func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
