package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"time"

	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/internal/relay"
	"github.com/backdial/backdial/redact"
	"github.com/backdial/backdial/transport"
)

const (
	// questionTimeout limits what a replica waits for before it dials: a question, the
	// decision whether that is allowed, and a sign of life of the client.
	questionTimeout = 10 * time.Second

	// quickDial is how long a dial may take before the other end is told.
	quickDial = 50 * time.Millisecond
)

// answer is called with each connection that another replica or a service opens. It decides
// whether the client is here, and joins the two.
func (c *Cluster) answer(d *transport.Dialer, conn net.Conn) {
	asker := conn.(transport.Conn)
	defer asker.Reset() // unless it is closed
	conn.SetReadDeadline(time.Now().Add(questionTimeout))
	id, err := readQuestion(conn)
	if err != nil {
		c.refuse(d, asker, answerFailed, id, err)
		return
	}
	conn.SetReadDeadline(time.Time{}) // the keepalive limits the write of an answer
	client, kind, err := c.dialFor(d, asker, id)
	if err != nil {
		c.refuse(d, asker, kind, id, err)
		return
	}
	if _, err := conn.Write(appendAnswer(nil, answerOpen, "")); err != nil {
		client.Reset()
		return
	}
	c.stats.relayed.Add(1)
	defer c.stats.relayed.Add(-1)
	relay.Join(asker, client)
}

// refuse answers why there is no connection.
func (c *Cluster) refuse(d *transport.Dialer, asker transport.Conn, kind answerKind, id string, err error) {
	text := ""
	if kind == answerFailed {
		text = err.Error()
	}
	c.logger.Info("cluster: connection refused", "peer", redact.Text(peerOf(d).Subject.String()), "id", redact.Text(id), "err", err)
	if _, err := asker.Write(appendAnswer(nil, kind, text)); err == nil {
		asker.Close()
	}
}

// dialFor dials a client of this process for the other end of d; it never sends the other end
// on. If it fails it returns how to answer, and why.
func (c *Cluster) dialFor(d *transport.Dialer, asker transport.Conn, id string) (client transport.Conn, kind answerKind, err error) {
	ctx, cancel := context.WithTimeout(d.Context(), questionTimeout)
	defer cancel()
	if err := c.allowed(ctx, d, asker, id); err != nil {
		return nil, answerNotAllowed, err
	}
	if err := c.awaitProbe(ctx, id); err != nil {
		return nil, answerMoved, err
	}
	conn, err := c.dialSlowly(ctx, asker, id)
	if err == nil {
		return conn.(transport.Conn), answerOpen, nil
	}
	if _, ok := errors.AsType[*fleet.NotConnectedError](err); ok || errors.Is(err, fleet.ErrInvalidID) {
		return nil, answerMoved, err
	}
	return nil, answerFailed, err
}

// allowed asks the user's function whether the other end of d may dial a client. If the
// function panics, the answer is no, and other connections of that end go on.
func (c *Cluster) allowed(ctx context.Context, d *transport.Dialer, asker net.Conn, id string) (err error) {
	if c.authorize == nil {
		return nil
	}
	ctx, stop := whileOpen(ctx, asker)
	defer stop()
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %s", redact.Text(fmt.Sprint(v)))
			c.panicLogger().Error("cluster: panic in WithAuthorize", "id", redact.Text(id), "panic", redact.Text(fmt.Sprint(v)), "stack", string(debug.Stack()))
		}
	}()
	return c.authorize(ctx, peerOf(d), id)
}

// awaitProbe waits for the probe of a client that another replica has too, if there is one.
func (c *Cluster) awaitProbe(ctx context.Context, id string) error {
	over := c.rivals.suspected(id)
	if over == nil {
		return nil
	}
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return ctxerr.Of(ctx)
	}
}

// dialSlowly dials a client. If that takes a while, because the client accepts no connections,
// it tells the other end, which then waits for the client, and no longer for a replica that
// may hang.
func (c *Cluster) dialSlowly(ctx context.Context, asker transport.Conn, id string) (net.Conn, error) {
	quick, cancel := context.WithTimeout(ctx, quickDial)
	defer cancel()
	conn, err := c.clients.TryDial(quick, id)
	if err == nil || !errors.Is(err, context.DeadlineExceeded) {
		return conn, err
	}
	if _, err := asker.Write(appendAnswer(nil, answerHeld, "")); err != nil {
		return nil, err
	}
	waiting, stop := whileOpen(context.Background(), asker)
	defer stop()
	return c.clients.TryDial(waiting, id)
}

// whileOpen returns a context that ends with ctx, when the other end gives up conn, on which
// it has nothing to say, or when stop is called.
func whileOpen(ctx context.Context, conn net.Conn) (open context.Context, stop func()) {
	open, cancel := context.WithCancelCause(ctx)
	read := make(chan struct{})
	go func() { // until stop
		defer close(read)
		var b [1]byte
		_, err := conn.Read(b[:])
		if err == nil {
			err = errFrame
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			cancel(err)
		}
	}()
	return open, func() {
		conn.SetReadDeadline(time.Unix(1, 0))
		<-read
		conn.SetReadDeadline(time.Time{})
		cancel(nil)
	}
}
