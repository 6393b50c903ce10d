package workload_test

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/workload"
)

// TestViolations plants violations.
func TestViolations(t *testing.T) {
	for name, test := range map[string]struct {
		device *workload.Device
		wrap   func(*net.TCPConn) net.Conn
		listen func(net.Listener) net.Listener
		count  func(workload.Report) int
		text   string
	}{
		"CallerTruncated": {
			wrap:  func(c *net.TCPConn) net.Conn { return &truncated{TCPConn: c, left: 9} },
			count: func(r workload.Report) int { return r.Truncated },
			text:  "ended early",
		},
		"DeviceTruncated": {
			listen: wrapped(func(c *net.TCPConn) net.Conn { return &truncated{TCPConn: c, left: 9} }),
			count:  func(r workload.Report) int { return r.Truncated },
			text:   "ended early",
		},
		"NothingAtAll": {
			listen: wrapped(func(c *net.TCPConn) net.Conn { return &truncated{TCPConn: c} }),
			count:  func(r workload.Report) int { return r.Truncated },
			text:   "ended early",
		},
		"RequestCorrupt": {
			wrap:  func(c *net.TCPConn) net.Conn { return corrupting{c} },
			count: func(r workload.Report) int { return r.Corrupt },
			text:  "not sent",
		},
		"AnswerCorrupt": {
			listen: wrapped(func(c *net.TCPConn) net.Conn { return corrupting{c} }),
			count:  func(r workload.Report) int { return r.Corrupt },
			text:   "not sent",
		},
		"AnsweredTwice": {
			listen: wrapped(func(c *net.TCPConn) net.Conn { return stuttering{c} }),
			count:  func(r workload.Report) int { return r.Corrupt },
			text:   "not sent",
		},
		"DeliveredTwice": {
			wrap:  func(c *net.TCPConn) net.Conn { return &replaying{TCPConn: c} },
			count: func(r workload.Report) int { return r.Duplicates },
			text:  "delivered again",
		},
		"AnotherDevice": {
			device: workload.NewDevice(workload.Config{Number: 8}),
			count:  func(r workload.Report) int { return min(r.Corrupt, r.Lost) },
			text:   "not delivered",
		},
		"Slow": {
			wrap:  func(c *net.TCPConn) net.Conn { return slow{c} },
			count: func(r workload.Report) int { return int(r.Longest.Took / slowness) },
			text:  "took",
		},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			if test.device == nil {
				test.device = workload.NewDevice(brisk)
			}
			if test.listen == nil {
				test.listen = same
			}
			report := exchanges(t, 10, test.device, test.wrap, test.listen)
			if test.count(report) == 0 {
				t.Errorf("no violation in %+v", report)
			}
			if err := report.Err(slowness / 2); err == nil || !strings.Contains(err.Error(), test.text) {
				t.Errorf("error %v, want one with %q", err, test.text)
			}
		})
	}
}

// wrapped makes listeners that wrap what they accept.
func wrapped(wrap func(*net.TCPConn) net.Conn) func(net.Listener) net.Listener {
	return func(ln net.Listener) net.Listener { return wrappedListener{ln, wrap} }
}

type wrappedListener struct {
	net.Listener
	wrap func(*net.TCPConn) net.Conn
}

func (l wrappedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.wrap(c.(*net.TCPConn)), nil
}

// A truncated connection ends after a few bytes.
type truncated struct {
	*net.TCPConn
	left int
}

func (c *truncated) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n, err := c.TCPConn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// A corrupting connection flips a bit of each Write, in the middle.
type corrupting struct{ *net.TCPConn }

func (c corrupting) Write(p []byte) (int, error) {
	p = bytes.Clone(p)
	p[len(p)/2] ^= 4
	return c.TCPConn.Write(p)
}

// A stuttering connection writes everything twice.
type stuttering struct{ *net.TCPConn }

func (c stuttering) Write(p []byte) (int, error) {
	return c.TCPConn.Write(slices.Concat(p, p))
}

// A replaying connection repeats everything.
type replaying struct {
	*net.TCPConn
	said bytes.Buffer
}

func (c *replaying) Write(p []byte) (int, error) {
	c.said.Write(p)
	return c.TCPConn.Write(p)
}

func (c *replaying) Close() error {
	again, err := net.Dial("tcp", c.RemoteAddr().String())
	if err == nil {
		again.Write(c.said.Bytes())
		again.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, again)
		again.Close()
	}
	return c.TCPConn.Close()
}

// A slow connection takes its time to finish.
type slow struct{ *net.TCPConn }

const slowness = 100 * time.Millisecond

func (c slow) CloseWrite() error {
	<-time.After(slowness)
	return c.TCPConn.CloseWrite()
}
