package workload

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// A Call is a call that may block.
type Call struct {
	Name string
	Took time.Duration
}

// calls measures how long calls take, including those that have not returned.
type calls struct {
	now func() time.Time

	mu      sync.Mutex // guards below
	longest Call
	pending map[*pendingCall]struct{}
}

type pendingCall struct {
	name  string
	began time.Time
}

// begin begins a call, and returns the function that ends it.
func (c *calls) begin(name string) (end func()) {
	call := &pendingCall{name, c.now()}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending == nil {
		c.pending = make(map[*pendingCall]struct{})
	}
	c.pending[call] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.pending, call)
		c.longest = longer(c.longest, c.sofar(call))
	}
}

func (c *calls) record() (longest Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	longest = c.longest
	for call := range c.pending {
		longest = longer(longest, c.sofar(call))
	}
	return longest
}

func (c *calls) sofar(call *pendingCall) Call { return Call{call.name, c.now().Sub(call.began)} }

func longer(a, b Call) Call {
	if b.Took > a.Took {
		return b
	}
	return a
}

// A closeWriter can end one direction, like a transport.Conn and a *net.TCPConn.
type closeWriter interface {
	CloseWrite() error
}

// A stream is a connection as used by one end of an exchange.
type stream struct {
	net.Conn
	calls *calls
	side  string
}

func newStream(conn net.Conn, c *calls, side string, config Config) *stream {
	if config.Timeout > 0 {
		conn.SetDeadline(time.Now().Add(config.Timeout))
	}
	return &stream{conn, c, side}
}

// errEnded is the error of Read if the other side has finished the stream. Unlike io.EOF,
// package io passes it on unchanged.
var errEnded = errors.New("ended early")

func (s *stream) Read(p []byte) (int, error) {
	defer s.calls.begin(s.side + " Read")()
	n, err := s.Conn.Read(p)
	if errors.Is(err, io.EOF) {
		err = errEnded
	}
	return n, err
}

func (s *stream) Write(p []byte) (int, error) {
	defer s.calls.begin(s.side + " Write")()
	return s.Conn.Write(p)
}

func (s *stream) CloseWrite() error {
	defer s.calls.begin(s.side + " CloseWrite")()
	return s.Conn.(closeWriter).CloseWrite()
}

func (s *stream) Close() error {
	defer s.calls.begin(s.side + " Close")()
	return s.Conn.Close()
}

// end reads the end, which must come now.
func (s *stream) end() error {
	_, err := io.ReadFull(s, make([]byte, 1))
	switch err {
	case nil:
		return fmt.Errorf("%w: something follows the last message", errCorrupt)
	case errEnded:
		return nil
	}
	return err
}

// closeWith closes the stream. If the conversation has failed with err, it resets the stream,
// so that the other side does not take that for its end.
func (s *stream) closeWith(err error) {
	if err != nil {
		message{kind: refusal}.write(s)
	}
	s.Close()
}
