package carriertest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/backdial/backdial/carrier"
	. "github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/carrier/webtransport"
)

// streamFaults are mistakes of carriers whose connections have streams.
var streamFaults = []fault{{
	"StreamsLookAlike",
	faultyStreams(nil, func(s carrier.Stream) carrier.Stream { return nameless{s} }),
	[]Promise{StreamsAnnounced},
}, {
	"StreamsAreGivenUp",
	faultyStreams(nil, func(s carrier.Stream) carrier.Stream { return givenUp{s} }),
	[]Promise{StreamsCarryBytes},
}, {
	"StreamsAreNotCanceled",
	faultyStreams(nil, func(s carrier.Stream) carrier.Stream { return uncanceled{s} }),
	[]Promise{StreamsCancel},
}, {
	"StreamsTellNothing",
	faultyStreams(nil, func(s carrier.Stream) carrier.Stream { return mute{s} }),
	[]Promise{StreamsTell},
}, {
	"StreamsHaveNoDeadlines",
	faultyStreams(nil, func(s carrier.Stream) carrier.Stream { return timeless{s} }),
	[]Promise{StreamsHaveDeadlines},
}, {
	"DeadlinesAreLate",
	faultyStreams(nil, func(s carrier.Stream) carrier.Stream { return shifted{s, 300 * time.Millisecond} }),
	[]Promise{StreamsHaveDeadlines},
}, {
	"DeadlinesAreEarly",
	faultyStreams(nil, func(s carrier.Stream) carrier.Stream { return shifted{s, -20 * time.Millisecond} }),
	[]Promise{StreamsHaveDeadlines},
}, {
	"ClosedStreamsEnd",
	faultyStreams(nil, func(s carrier.Stream) carrier.Stream { return ending{s} }),
	[]Promise{StreamsEnd},
}, {
	"OpenStreamIgnoresContext",
	faultyStreams(func(c carrier.StreamConn) carrier.StreamConn { return patient{c} }, nil),
	[]Promise{StreamsEndWithContext},
}, {
	"BytesNeedSilence",
	faultyStreams(func(c carrier.StreamConn) carrier.StreamConn { return &silenced{StreamConn: c} }, nil),
	[]Promise{StreamsBesideBytes},
}}

// streaming is webtransport with other connections.
type streaming struct {
	*webtransport.Carrier
	wrap func(carrier.Conn) carrier.Conn
}

func (c streaming) Dial(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
	conn, err := c.Carrier.Dial(ctx, r)
	if err != nil {
		return nil, err
	}
	return c.wrap(conn), nil
}

func (c streaming) Upgrade(w http.ResponseWriter, r *http.Request, protocol string) (carrier.Conn, error) {
	conn, err := c.Carrier.Upgrade(w, r, protocol)
	if err != nil {
		return nil, err
	}
	return c.wrap(conn), nil
}

// streamingConn is what a connection of webtransport can do.
type streamingConn interface {
	carrier.StreamConn
	carrier.CloseWriter
}

// faultyStreams is a target with a mistake in its connections, in the streams that they
// open, or in both.
func faultyStreams(conn func(carrier.StreamConn) carrier.StreamConn, opened func(carrier.Stream) carrier.Stream) Target {
	impatient := webtransport.New(webtransport.WithHandshakeTimeout(time.Second))
	return Target{TLS: true, Impatient: impatient, Carrier: streaming{webtransport.New(), func(c carrier.Conn) carrier.Conn {
		sound := c.(streamingConn)
		faulty := faultyConn{sound, sound, opened}
		if conn != nil {
			faulty.StreamConn = conn(sound)
		}
		return faulty
	}}}
}

type faultyConn struct {
	carrier.StreamConn
	carrier.CloseWriter
	opened func(carrier.Stream) carrier.Stream
}

func (c faultyConn) OpenStream(ctx context.Context) (carrier.Stream, error) {
	s, err := c.StreamConn.OpenStream(ctx)
	if err != nil || c.opened == nil {
		return s, err
	}
	return c.opened(s), nil
}

type nameless struct{ carrier.Stream }

func (nameless) ID() uint64 { return 0 }

// A given up stream ends where it should finish.
type givenUp struct{ carrier.Stream }

func (s givenUp) CloseWrite() error {
	s.CancelWrite(0)
	return s.Stream.CloseWrite()
}

type uncanceled struct{ carrier.Stream }

func (uncanceled) CancelRead(uint32)  {}
func (uncanceled) CancelWrite(uint32) {}

// A mute stream tells nothing to an end that does not read.
type mute struct{ carrier.Stream }

func (s mute) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return s.Stream.Read(p)
}

type timeless struct{ carrier.Stream }

func (s timeless) SetReadDeadline(time.Time) error  { return s.Stream.SetReadDeadline(time.Time{}) }
func (s timeless) SetWriteDeadline(time.Time) error { return s.Stream.SetWriteDeadline(time.Time{}) }

// A shifted stream has deadlines that come later than set.
type shifted struct {
	carrier.Stream
	by time.Duration
}

func (s shifted) SetReadDeadline(t time.Time) error  { return s.Stream.SetReadDeadline(s.shift(t)) }
func (s shifted) SetWriteDeadline(t time.Time) error { return s.Stream.SetWriteDeadline(s.shift(t)) }

func (s shifted) shift(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(s.by)
}

type ending struct{ carrier.Stream }

func (s ending) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	if errors.Is(err, net.ErrClosed) {
		err = io.EOF
	}
	return n, err
}

type patient struct{ carrier.StreamConn }

func (c patient) OpenStream(context.Context) (carrier.Stream, error) {
	return c.StreamConn.OpenStream(context.Background())
}

// A silenced connection carries no bytes once it has streams.
type silenced struct {
	carrier.StreamConn
	mu     sync.Mutex // guards below
	opened bool
}

func (c *silenced) OpenStream(ctx context.Context) (carrier.Stream, error) {
	c.mu.Lock()
	c.opened = true
	c.mu.Unlock()
	return c.StreamConn.OpenStream(ctx)
}

func (c *silenced) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opened {
		return len(p), nil
	}
	return c.StreamConn.Write(p)
}
