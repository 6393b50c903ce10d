package transport

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/backdial/backdial/mux"
)

// A tracedConn is a stream that is counted.
type tracedConn struct {
	mux.Stream
	session *session
	since   time.Time

	mu     sync.Mutex // guards below
	stats  StreamStats
	closed bool
}

func (c *tracedConn) Read(p []byte) (int, error) {
	n, err := c.Stream.Read(p)
	c.count(n, 0, err)
	return n, err
}

func (c *tracedConn) Write(p []byte) (int, error) {
	n, err := c.Stream.Write(p)
	c.count(0, n, err)
	return n, err
}

// WriteTo implements [mux.WriterTo]. If the stream does not, it takes a buffer.
func (c *tracedConn) WriteTo(w io.Writer) (int64, error) {
	counted := &countedWriter{to: w, conn: c}
	n, err := io.Copy(counted, c.Stream)
	if !counted.failed {
		c.count(0, 0, err)
	}
	return n, err
}

// Check implements [mux.Checker]. It knows nothing if the stream does not.
func (c *tracedConn) Check() error {
	if checker, ok := c.Stream.(mux.Checker); ok {
		return checker.Check()
	}
	return nil
}

// A countedWriter counts what is read from a conn when that is passed on.
type countedWriter struct {
	to     io.Writer
	conn   *tracedConn
	failed bool // for which the stream is not to blame
}

func (w *countedWriter) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	w.conn.count(n, 0, nil)
	w.failed = err != nil || n < len(p)
	return n, err
}

func (c *tracedConn) count(read, written int, err error) {
	if c.session.trace.StreamMoved != nil && read+written > 0 {
		c.session.trace.StreamMoved(c.session.info, read, written)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.BytesRead += int64(read)
	c.stats.BytesWritten += int64(written)
	switch {
	case c.stats.Err != nil, c.closed, err == io.EOF:
	case errors.Is(err, os.ErrDeadlineExceeded): // net/http's way to wake a Read
	default:
		c.stats.Err = err
	}
}

func (c *tracedConn) Close() error { return c.end(c.Stream.Close) }

func (c *tracedConn) Reset() error { return c.end(c.Stream.Reset) }

// A codedConn is a tracedConn that is reset with a code.
type codedConn struct {
	*tracedConn
	coded mux.CodeResetter
}

func (c *codedConn) ResetWithCode(code uint32) error {
	return c.end(func() error { return c.coded.ResetWithCode(code) })
}

// end calls how, and the first time tells that the stream has ended.
func (c *tracedConn) end(how func() error) error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.stats.Duration = time.Since(c.since)
	stats := c.stats
	c.mu.Unlock()
	err := how()
	if first {
		c.session.logger.Debug("backdial: stream closed", "after", stats.Duration,
			"read", stats.BytesRead, "written", stats.BytesWritten, "err", stats.Err)
		if c.session.trace.StreamClosed != nil {
			c.session.trace.StreamClosed(c.session.describe(), stats)
		}
	}
	return err
}
