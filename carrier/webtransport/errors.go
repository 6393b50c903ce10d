package webtransport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/redact"
)

// noALPN is the alert of a server that does not speak any offered protocol (RFC 9001,
// section 8.1).
const noALPN = quic.TransportErrorCode(0x100 + 120)

// A lostError says why a connection ended that this end did not close. quic-go's errors
// match net.ErrClosed, which would say that this end did.
type lostError struct {
	text  string
	cause error
}

func (e *lostError) Error() string { return e.text }

func (e *lostError) Is(target error) bool {
	return target != net.ErrClosed && target != io.EOF && errors.Is(e.cause, target)
}

func (e *lostError) As(target any) bool { return errors.As(e.cause, target) }

// lost explains err in plain words.
func lost(err error) error { return &lostError{text: explain(err), cause: err} }

func explain(err error) string {
	if e, ok := errors.AsType[*webtransport.SessionError](err); ok {
		if e.ErrorCode == 0 && e.Message == "" {
			return "peer closed the session"
		}
		return fmt.Sprintf("peer closed the session with code %d %s", e.ErrorCode, redact.Quote(e.Message))
	}
	if _, ok := errors.AsType[*quic.IdleTimeoutError](err); ok {
		return "no sign of life from the peer until the idle timeout"
	}
	if _, ok := errors.AsType[*quic.StatelessResetError](err); ok {
		return "peer does not know the connection any more: it may have restarted"
	}
	if e, ok := errors.AsType[*quic.ApplicationError](err); ok && e.Remote {
		return fmt.Sprintf("peer closed the QUIC connection with code %#x %s", uint64(e.ErrorCode), redact.Quote(e.ErrorMessage))
	}
	if e, ok := errors.AsType[*http3.Error](err); ok {
		return fmt.Sprintf("session was cut off: %s", redact.Text(e.ErrorMessage))
	}
	return redact.Text(err.Error())
}

// handshakeError explains the error of a Dial in plain words.
func handshakeError(err error) error {
	_, silent := errors.AsType[*quic.IdleTimeoutError](err)
	_, slow := errors.AsType[*quic.HandshakeTimeoutError](err)
	if silent || slow {
		return &lostError{"no answer: does a server listen on this UDP port, and does UDP pass on the way?", err}
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("handshake: %w", e)
	}
	if e, ok := errors.AsType[*quic.TransportError](err); ok && e.ErrorCode == noALPN {
		return &lostError{`server does not speak HTTP/3: it refused the protocol "h3" (ALPN)`, err}
	}
	if _, ok := errors.AsType[*webtransport.RequirementsNotMetError](err); ok {
		return fmt.Errorf("server speaks HTTP/3, but not WebTransport: %w", err)
	}
	if e, ok := errors.AsType[*webtransport.SessionError](err); ok && !e.Remote {
		return fmt.Errorf("handshake: %w", err) // an answer that was not offered
	}
	return &lostError{"handshake: " + explain(err), err}
}

// verdict bounds the wait for a reason that must be known any moment.
const verdict = 20 * time.Millisecond

// soon waits briefly for ctx to end, and reports whether it has.
func soon(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return true
	case <-time.After(verdict):
		return ctx.Err() != nil
	}
}

// cause returns why the session has ended, given the error of a call that failed because
// of that.
func (c *conn) cause(err error) error {
	// A session ends just after its streams.
	ended := soon(c.life)
	if c.closed.Load() {
		return net.ErrClosed
	}
	if ended {
		// This always fails, with the first reason.
		_, err = c.session.OpenStream()
	}
	if _, ok := errors.AsType[*http3.Error](err); ok {
		// The session knows only that the stream of its request has ended. The QUIC
		// connection may have ended, and know why.
		soon(c.quic.Context())
		if e := c.quicCause(); e != nil {
			err = e
		}
	}
	return lost(err)
}

// quicCause returns why the QUIC connection has ended, or nil if it has not, or this end
// closed it.
func (c *conn) quicCause() error {
	err := context.Cause(c.quic.Context())
	if e, ok := errors.AsType[*quic.ApplicationError](err); ok && !e.Remote {
		return nil
	}
	return err
}

// streamCause is cause for a call on a stream, which may have failed without the session.
func (c *conn) streamCause(err error) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	e, canceled := errors.AsType[*webtransport.StreamError](err)
	switch {
	case canceled && e.Remote:
		return &carrier.CanceledError{Code: uint32(e.ErrorCode)}
	case canceled:
		return errCanceled
	case strings.HasPrefix(err.Error(), notWebTransport):
		if soon(c.life) { // the peer refuses streams of a session that it has closed
			return c.cause(err)
		}
		return new(carrier.CanceledError)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case isEnd(err) || c.session.Context().Err() != nil:
		return c.cause(err)
	}
	return err // for instance a Write after CloseWrite
}

// notWebTransport is the beginning of the error text for a stream that was reset with a
// code outside WebTransport's range. The library's error differs only in its text.
const notWebTransport = "stream reset, but failed to convert"

var errCanceled = errors.New("stream was canceled by this end")

// isEnd reports whether err is the end of a session or a QUIC connection.
func isEnd(err error) bool {
	_, ofSession := errors.AsType[*webtransport.SessionError](err)
	_, ofRequest := errors.AsType[*http3.Error](err)
	return ofSession || ofRequest || errors.Is(err, net.ErrClosed)
}
