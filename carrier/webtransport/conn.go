package webtransport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/ctxerr"
)

const (
	// goodbye is how long a client keeps the QUIC connection of a closed session, so that
	// the server learns that it was closed.
	goodbye = 250 * time.Millisecond

	// patience is how long a server waits for the client to end a closed session, before
	// it does so itself.
	patience = 2 * time.Second

	// maxLinger bounds how long Close keeps a session whose peer is not done.
	maxLinger = 5 * time.Second
)

var (
	_ carrier.StreamConn  = (*conn)(nil)
	_ carrier.CloseWriter = (*conn)(nil)
)

// conn is a WebTransport session. Beside the library's goroutines it has two: one refuses
// unidirectional streams until the session ends, and one waits for the byte stream, once
// a call needs it.
type conn struct {
	session  *webtransport.Session
	quic     *quic.Conn
	protocol string
	client   bool
	answer   *http3.Stream // of the request; on a server only
	windows  carrier.Windows

	// life ends with the session or with Close, whichever comes first.
	life   context.Context
	die    context.CancelFunc
	closed atomic.Bool // Close was called

	bytes     byteStream
	accepting chan struct{} // held by the one AcceptStream that calls the session

	mu      sync.Mutex           // guards below
	streams map[*stream]struct{} // streams that may be in use
}

// newClientConn returns the client's end, which owns qconn.
func newClientConn(qconn *quic.Conn, session *webtransport.Session, windows carrier.Windows) *conn {
	c := newConn(qconn, session, session.SessionState().ApplicationProtocol, windows)
	c.client = true
	c.bytes.obtain = c.openBytes
	context.AfterFunc(session.Context(), func() {
		if c.closed.Load() {
			time.AfterFunc(goodbye, func() { hangUp(qconn) })
		} else {
			hangUp(qconn)
		}
	})
	return c
}

// newServerConn returns the server's end. answer is the stream of the client's request.
func newServerConn(qconn *quic.Conn, session *webtransport.Session, protocol string, answer *http3.Stream, windows carrier.Windows) *conn {
	c := newConn(qconn, session, protocol, windows)
	c.answer = answer
	c.bytes.obtain = func() (*webtransport.Stream, error) { return c.acceptBytes(answer.StreamID() + 4) }
	return c
}

func newConn(qconn *quic.Conn, session *webtransport.Session, protocol string, windows carrier.Windows) *conn {
	c := &conn{
		session:   session,
		quic:      qconn,
		protocol:  protocol,
		windows:   windows,
		bytes:     byteStream{obtained: make(chan struct{})},
		accepting: make(chan struct{}, 1),
		streams:   make(map[*stream]struct{}),
	}
	c.life, c.die = context.WithCancel(session.Context())
	go c.refuseUniStreams()
	return c
}

func (c *conn) refuseUniStreams() {
	for {
		s, err := c.session.AcceptUniStream(context.Background()) // until the session ends
		if err != nil {
			return
		}
		s.CancelRead(0)
	}
}

// windowsOf returns the windows of connections with the configuration q. The library
// doubles a stream's window when more than half of it has been read in less than two
// round trips. It returns credit for the connection when a quarter of its window has been
// read since the last time. So with more than three quarters unread, it never gets that
// far, however much is read.
func windowsOf(q *quic.Config) carrier.Windows {
	return carrier.Windows{
		Stream:    int(q.InitialStreamReceiveWindow),
		MaxStream: int(q.MaxStreamReceiveWindow),
		All:       int(q.MaxConnectionReceiveWindow / 4 * 3),
	}
}

// Windows returns the windows from [WithWindows], less a quarter of the connection's.
func (c *conn) Windows() carrier.Windows { return c.windows }

func (c *conn) Protocol() string     { return c.protocol }
func (c *conn) LocalAddr() net.Addr  { return c.session.LocalAddr() }
func (c *conn) RemoteAddr() net.Addr { return c.session.RemoteAddr() }

// Read reads from the byte stream. The client's Read opens it; the server's waits for it.
func (c *conn) Read(p []byte) (int, error) {
	s, err := c.byteStream(context.Background())
	if err != nil {
		return 0, fmt.Errorf("webtransport: read: %w", err)
	}
	c.bytes.reading.Lock()
	defer c.bytes.reading.Unlock()
	return s.Read(p)
}

// Write writes to the byte stream. The client's Write opens it; the server's waits for
// it.
func (c *conn) Write(p []byte) (int, error) {
	s, err := c.byteStream(context.Background())
	if err != nil {
		return 0, fmt.Errorf("webtransport: write: %w", err)
	}
	return s.Write(p)
}

// CloseWrite ends this end's direction of the byte stream. On a server it waits for the
// stream.
func (c *conn) CloseWrite() error {
	s, err := c.byteStream(context.Background())
	if err != nil {
		return fmt.Errorf("webtransport: close write: %w", err)
	}
	c.bytes.finished.Store(true)
	return s.CloseWrite()
}

// OpenStream opens a stream. A client opens the byte stream first, because the server
// could not tell them apart.
func (c *conn) OpenStream(ctx context.Context) (carrier.Stream, error) {
	s, err := c.openStream(ctx)
	if err != nil {
		return nil, fmt.Errorf("webtransport: open stream: %w", err)
	}
	return s, nil
}

func (c *conn) openStream(ctx context.Context) (carrier.Stream, error) {
	if c.closed.Load() {
		return nil, net.ErrClosed
	}
	if ctx.Err() != nil {
		return nil, ctxerr.Of(ctx)
	}
	if c.client {
		if _, err := c.byteStream(ctx); err != nil {
			return nil, err
		}
	}
	str, err := c.session.OpenStream()
	if isLimit(err) {
		str, err = c.await(ctx, c.session.OpenStreamSync)
	}
	if err == nil {
		err = announce(str)
	}
	if err != nil {
		return nil, c.waitCause(ctx, err)
	}
	return c.newStream(str), nil
}

// isLimit reports whether the peer allows no more streams for now.
func isLimit(err error) bool {
	_, ofQUIC := errors.AsType[*quic.StreamLimitReachedError](err)
	_, ofSession := errors.AsType[*webtransport.StreamLimitReachedError](err)
	return ofQUIC || ofSession
}

// announce sends the header of a new stream, which tells the peer of it. The peer may
// cancel the stream before announce returns.
func announce(str *webtransport.Stream) error {
	_, err := str.Write(nil)
	if e, ok := errors.AsType[*webtransport.StreamError](err); ok && e.Remote {
		return nil
	}
	return err
}

// AcceptStream waits for a stream that the peer opens, except the byte stream.
func (c *conn) AcceptStream(ctx context.Context) (carrier.Stream, error) {
	s, err := c.acceptStream(ctx)
	if err != nil {
		return nil, fmt.Errorf("webtransport: accept stream: %w", err)
	}
	return s, nil
}

func (c *conn) acceptStream(ctx context.Context) (carrier.Stream, error) {
	if c.closed.Load() {
		return nil, net.ErrClosed
	}
	if !c.client {
		if _, err := c.byteStream(ctx); err != nil {
			return nil, err
		}
	}
	str, err := c.await(ctx, func(ctx context.Context) (*webtransport.Stream, error) {
		// If two callers wait, the session may forget to wake the second.
		select {
		case c.accepting <- struct{}{}:
			defer func() { <-c.accepting }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if early := c.bytes.early; len(early) > 0 {
			c.bytes.early = early[1:]
			return early[0], nil
		}
		return c.session.AcceptStream(ctx)
	})
	if err != nil {
		return nil, c.waitCause(ctx, err)
	}
	return c.newStream(str), nil
}

// await calls f with a context that ends with ctx and with c.
func (c *conn) await(ctx context.Context, f func(context.Context) (*webtransport.Stream, error)) (*webtransport.Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	return f(ctx)
}

// waitCause returns the reason for the failure of a wait that ctx bounds.
func (c *conn) waitCause(ctx context.Context, err error) error {
	if c.life.Err() == nil && ctx.Err() != nil {
		return ctxerr.Of(ctx)
	}
	return c.cause(err)
}

// Close closes the session. It does not wait for the peer, except up to 10 ms for room to
// say so. What was written before CloseWrite still reaches a peer that ends its
// direction, or closes, within 5 s.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	c.die()
	if c.bytes.finished.Load() {
		go c.linger()
	} else {
		c.end()
	}
	return nil
}

// closeSession is a WT_CLOSE_SESSION capsule with code 0 and no message
// (draft-ietf-webtrans-http3, section 6).
var closeSession = []byte{0x68, 0x43, 4, 0, 0, 0, 0}

// end closes the session. A server leaves that to the client: the library's
// CloseWithError also cancels the request's stream, and Chromium then reports the session
// as lost.
func (c *conn) end() {
	if c.client || c.answer.TryWriteAll(closeSession) != nil || c.answer.Close() != nil {
		c.session.CloseWithError(0, "")
		return
	}
	for s := range c.takeStreams() { // wakes callers that wait
		s.str.SetDeadline(time.Now())
	}
	late := time.AfterFunc(patience, func() { c.session.CloseWithError(0, "") })
	context.AfterFunc(c.session.Context(), func() { late.Stop() })
}

// takeStreams returns the streams that may be in use. No more can be added.
func (c *conn) takeStreams() map[*stream]struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	streams := c.streams
	c.streams = nil
	return streams
}

// linger keeps the session until the peer has what was written: closing a session resets
// its streams.
func (c *conn) linger() {
	defer c.end()
	rest, _ := c.byteStream(context.Background())
	for s := range c.takeStreams() {
		if s != rest {
			s.abandon()
		}
	}
	rest.str.SetReadDeadline(time.Now()) // wakes Read
	c.bytes.reading.Lock()               // until that Read has returned; later ones see that c is closed
	rest.str.SetReadDeadline(time.Now().Add(maxLinger))
	c.bytes.reading.Unlock()
	io.Copy(io.Discard, rest.str)
}

// SetDeadline is not supported: nobody sets a carrier's deadlines. Its error matches
// [os.ErrNoDeadline].
func (*conn) SetDeadline(time.Time) error { return errNoDeadline }

// SetReadDeadline is not supported, like SetDeadline.
func (*conn) SetReadDeadline(time.Time) error { return errNoDeadline }

// SetWriteDeadline is not supported, like SetDeadline.
func (*conn) SetWriteDeadline(time.Time) error { return errNoDeadline }

var errNoDeadline = fmt.Errorf("webtransport: %w", os.ErrNoDeadline)
