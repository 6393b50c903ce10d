package ws

import (
	"errors"
	"fmt"
	"io"

	"github.com/gorilla/websocket"

	"github.com/backdial/backdial/redact"
)

var (
	errText  = &refusal{websocket.CloseUnsupportedData, errors.New("peer sent a text message")}
	errChaff = &refusal{websocket.ClosePolicyViolation, errors.New("peer sent nothing but frames without data")}
)

// nextFrame moves to the next frame of a message, and handles control frames on the way.
// Its error is [io.EOF] if the peer has ended what it sends on purpose, but not in the
// middle of a message.
func (c *conn) nextFrame() error {
	for {
		h, err := c.r.header()
		if err != nil {
			return err
		}
		if h.length > 0 && !h.op.isControl() {
			c.chaff.None()
		} else if c.chaff.Add() {
			return errChaff
		}
		switch {
		case h.op.isControl():
			if err := c.control(h.op); err != nil {
				return err
			}
		case h.op == opText:
			return errText
		default:
			return nil
		}
	}
}

// control handles a control frame whose header has been taken.
func (c *conn) control(op opcode) error {
	payload, err := c.r.controlPayload()
	if err != nil {
		return err
	}
	switch op {
	case opPing:
		c.w.sendPong(payload)
	case opClose:
		return c.peerCloses(payload)
	}
	return nil
}

// peerCloses returns the final error of reading after a close frame.
func (c *conn) peerCloses(payload []byte) error {
	status, reason, err := parseClose(payload)
	if err != nil {
		return err
	}
	if !onPurpose(status) {
		c.w.sendClose(status, "")
		return peerClosed(status, reason)
	}
	// CloseWrite answers, when this end is done too: nothing can be sent after a close
	// frame.
	if !c.r.fin {
		return peerClosed(status, reason)
	}
	return io.EOF
}

// tell tells the peer why this end fails the connection, if it does. Nothing more is
// read, so it may wait for room, for at most a second.
func (c *conn) tell(err error) {
	if refusal, ok := errors.AsType[*refusal](err); ok {
		c.w.sendClose(refusal.status, refusal.Error())
	}
}

// onPurpose reports whether a close frame's status is an orderly end.
func onPurpose(status int) bool {
	return status == websocket.CloseNormalClosure || status == websocket.CloseGoingAway
}

// peerClosed is the error if the peer closed with any other status.
func peerClosed(status int, reason string) error {
	return fmt.Errorf("peer closed with status %d %s", status, redact.Quote(reason))
}
