package webtransport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/quic-go/webtransport-go"

	"github.com/backdial/backdial/carrier"
)

var _ carrier.Stream = (*stream)(nil)

// stream is a bidirectional stream of a session.
type stream struct {
	conn *conn
	str  *webtransport.Stream
	over atomic.Uint32 // bits of directions that have ended

	// For the goroutine that reads: the first error that is not a deadline, and from then
	// on the only one. quic-go may later report that a stream that was reset has finished.
	readErr error
}

// The directions of a stream.
const (
	inbound uint32 = 1 << iota
	outbound
)

func (c *conn) newStream(str *webtransport.Stream) *stream {
	s := &stream{conn: c, str: str}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams != nil { // nil: closed
		c.streams[s] = struct{}{}
	}
	return s
}

// end notes that a direction has ended.
func (s *stream) end(direction uint32) {
	if s.over.Or(direction)|direction == inbound|outbound {
		s.conn.mu.Lock()
		delete(s.conn.streams, s)
		s.conn.mu.Unlock()
	}
}

// abandon ends the directions that have not ended.
func (s *stream) abandon() {
	over := s.over.Load()
	if over&inbound == 0 {
		s.str.CancelRead(0)
	}
	if over&outbound == 0 {
		s.str.CancelWrite(0)
	}
}

func (s *stream) ID() uint64 { return uint64(s.str.StreamID()) }

func (s *stream) Read(p []byte) (int, error) {
	if s.conn.closed.Load() {
		return 0, fmt.Errorf("webtransport: read: %w", net.ErrClosed)
	}
	if s.readErr != nil {
		return 0, s.readErr
	}
	n, err := s.str.Read(p)
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF && !s.conn.closed.Load():
	default:
		err = fmt.Errorf("webtransport: read: %w", s.conn.streamCause(err))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		s.end(inbound)
		s.readErr = err
	}
	return n, err
}

func (s *stream) Write(p []byte) (int, error) {
	if s.conn.closed.Load() {
		return 0, fmt.Errorf("webtransport: write: %w", net.ErrClosed)
	}
	n, err := s.str.Write(p)
	if err != nil {
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			s.end(outbound)
		}
		return n, fmt.Errorf("webtransport: write: %w", s.conn.streamCause(err))
	}
	return n, nil
}

func (s *stream) SetReadDeadline(t time.Time) error {
	if err := s.ended(); err != nil {
		return fmt.Errorf("webtransport: set read deadline: %w", err)
	}
	err := s.str.SetReadDeadline(t)
	if s.conn.closed.Load() { // Close may have tried to wake a caller before
		s.str.SetReadDeadline(time.Now())
	}
	return err
}

func (s *stream) SetWriteDeadline(t time.Time) error {
	if err := s.ended(); err != nil {
		return fmt.Errorf("webtransport: set write deadline: %w", err)
	}
	err := s.str.SetWriteDeadline(t)
	if s.conn.closed.Load() { // Close may have tried to wake a caller before
		s.str.SetWriteDeadline(time.Now())
	}
	return err
}

// ended returns why the session has ended, or nil.
func (s *stream) ended() error {
	if s.conn.life.Err() == nil {
		return nil
	}
	return s.conn.cause(s.conn.life.Err())
}

func (s *stream) CloseWrite() error {
	s.end(outbound)
	switch err := s.ended(); {
	case err != nil:
		return fmt.Errorf("webtransport: close write: %w", err)
	case s.conn.closed.Load(): // after a failed Write, what was written must not look complete
		s.str.CancelWrite(0)
		return fmt.Errorf("webtransport: close write: %w", net.ErrClosed)
	}
	s.str.Close() // fails only if either end has cancelled the direction
	return nil
}

func (s *stream) CancelRead(code uint32) {
	s.end(inbound)
	s.str.CancelRead(webtransport.StreamErrorCode(code))
}

func (s *stream) CancelWrite(code uint32) {
	s.end(outbound)
	s.str.CancelWrite(webtransport.StreamErrorCode(code))
}
