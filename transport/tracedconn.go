package transport

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/backdial/backdial/internal/powers"
	"github.com/backdial/backdial/mux"
)

// A tracedConn is a stream that counts its use.
type tracedConn struct {
	mux.Stream
	powers  powers.Stream // of Stream
	session *session
	since   time.Time

	mu     sync.Mutex // guards below
	stats  StreamStats
	closed bool
}

// newTracedConn returns st as a tracedConn. It has the optional methods that st has, and no
// others.
func newTracedConn(st mux.Stream, s *session) mux.Stream {
	c := &tracedConn{Stream: st, powers: powers.OfStream(st), session: s, since: time.Now()}
	p := c.powers // Check is not traced
	if p.WriterTo != nil {
		p.WriterTo = c
	}
	if p.CodeResetter != nil {
		p.CodeResetter = c
	}
	return p.Wrap(c)
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

// WriteTo implements [mux.WriterTo], for a stream that does.
func (c *tracedConn) WriteTo(w io.Writer) (int64, error) {
	counted := &countedWriter{to: w, conn: c}
	n, err := c.powers.WriterTo.WriteTo(counted)
	if !counted.failed {
		c.count(0, 0, err)
	}
	return n, err
}

// A countedWriter counts what is read from a conn and passed on.
type countedWriter struct {
	to     io.Writer
	conn   *tracedConn
	failed bool // not the stream's fault
}

func (w *countedWriter) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	w.conn.count(n, 0, nil)
	w.failed = err != nil || n < len(p)
	return n, err
}

func (c *tracedConn) count(read, written int, err error) {
	if c.session.trace.StreamMoved != nil && read+written > 0 {
		c.session.trace.StreamMoved(c.session.identify(), read, written)
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

// ResetWithCode implements [mux.CodeResetter], for a stream that does.
func (c *tracedConn) ResetWithCode(code uint32) error {
	return c.end(func() error { return c.powers.CodeResetter.ResetWithCode(code) })
}

// end calls how, and the first time reports that the stream has ended.
func (c *tracedConn) end(how func() error) error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.stats.Duration = time.Since(c.since)
	stats := c.stats
	c.mu.Unlock()
	err := how()
	if first {
		if c.session.logs(slog.LevelDebug) {
			withErr(c.session.log(), stats.Err).Debug("backdial: stream closed", "after", stats.Duration,
				"read", stats.BytesRead, "written", stats.BytesWritten)
		}
		if c.session.trace.StreamClosed != nil {
			c.session.trace.StreamClosed(c.session.describe(), stats)
		}
	}
	return err
}
