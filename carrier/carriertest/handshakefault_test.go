package carriertest_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/backdial/backdial/carrier"
	. "github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/carrier/ws"
)

// impatient is sound with a short timeout.
var impatient carrier.Carrier = ws.New(ws.WithHandshakeTimeout(time.Second))

// handshakeFaults are mistakes in how handshakes end.
var handshakeFaults = []fault{{
	"DialIsUnbounded",
	Target{Carrier: &faulty{}, Impatient: ws.New(ws.WithHandshakeTimeout(-1))},
	[]Promise{BoundsHandshakes},
}, {
	"DripsProlongDial",
	Target{Carrier: &faulty{}, Impatient: &faulty{dial: readingAnswer(func(conn net.Conn) {
		for r := bufio.NewReader(io.LimitReader(conn, 1<<20)); ; {
			conn.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := r.ReadByte(); err != nil {
				return
			}
		}
	})}},
	[]Promise{BoundsHandshakes},
}, {
	"AnswerMayBeEndless",
	Target{Carrier: &faulty{}, Impatient: &faulty{dial: readingAnswer(func(conn net.Conn) {
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		io.Copy(io.Discard, conn)
	})}},
	[]Promise{BoundsHandshakes},
}, {
	"RejectionLeaksSocket",
	untimed(&faulty{dial: func(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
		conn, err := sound.Dial(ctx, r)
		if _, ok := errors.AsType[*carrier.RejectedError](err); ok {
			leakSocket(r.URL.Host)
		}
		return conn, err
	}}),
	[]Promise{ReportsRejection},
}, {
	"RejectionWaitsForBody",
	untimed(&faulty{dial: func(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
		conn, err := sound.Dial(ctx, r)
		if rejected, ok := errors.AsType[*carrier.RejectedError](err); ok && len(rejected.Body) == 1<<10 && rejected.StatusCode == http.StatusForbidden {
			<-ctx.Done() // as if the rest came only now
			return nil, ctx.Err()
		}
		return conn, err
	}}),
	[]Promise{ReportsRejection},
}, {
	"AnswerIsLostAtClose",
	untimed(&faulty{writer: func(w http.ResponseWriter) http.ResponseWriter { return lateWriter{w} }}),
	[]Promise{AnswersBeforeClose},
}}

// untimed is a target for faults that do not concern timeouts.
func untimed(c carrier.Carrier) Target { return Target{Carrier: c, Impatient: impatient} }

// readingAnswer is a Dial that reads a server's answer, and understands none of it.
func readingAnswer(read func(net.Conn)) func(context.Context, *carrier.Request) (carrier.Conn, error) {
	return func(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", r.URL.Host)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		read(conn)
		return nil, errors.New("no answer that is understood")
	}
}

// leaked holds sockets that nobody closes.
var leaked []any

// leakSocket leaks a socket that the HTTP server at addr has accepted.
func leakSocket(addr string) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	io.WriteString(conn, "not HTTP\r\n\r\n")
	io.ReadFull(conn, make([]byte, 1))
	leaked = append(leaked, conn)
}

// A lateWriter makes connections that are slow to send an answer.
type lateWriter struct{ http.ResponseWriter }

func (w lateWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	return &lateConn{Conn: conn, answered: make(chan struct{})}, rw, err
}

// A lateConn sends the first write after a while, unless it is closed by then.
type lateConn struct {
	net.Conn
	once     sync.Once
	answered chan struct{}
}

func (c *lateConn) Write(p []byte) (n int, err error) {
	first := false
	c.once.Do(func() {
		first = true
		answer := bytes.Clone(p)
		time.AfterFunc(50*time.Millisecond, func() {
			defer close(c.answered)
			c.Conn.Write(answer)
		})
	})
	if first {
		return len(p), nil
	}
	<-c.answered
	return c.Conn.Write(p)
}
