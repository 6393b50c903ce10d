package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/redact"
	"github.com/backdial/backdial/transport"
)

// An answerError is what a replica has answered instead of opening a connection.
type answerError struct {
	node Node
	is   error // or nil
	text string
}

func (e *answerError) Error() string {
	switch {
	case e.is == nil:
		return fmt.Sprintf("replica %s could not dial the client: %s", redact.Quote(e.node.Name), redact.Quote(e.text))
	case e.text == "":
		return fmt.Sprintf("replica %s: %v", redact.Quote(e.node.Name), e.is)
	}
	return fmt.Sprintf("replica %s: %v: %s", redact.Quote(e.node.Name), e.is, redact.Quote(e.text))
}

func (e *answerError) Unwrap() error { return e.is }

func isAnswer(err error) bool {
	_, ok := errors.AsType[*answerError](err)
	return ok
}

// ask asks for a client on conn, which then becomes the connection to it. try limits the time
// until the replica says whether it has the client, and ctx all of it.
func (s *peer) ask(ctx, try context.Context, conn transport.Conn, id string) (net.Conn, error) {
	kind, text, err := s.awaitAnswer(try, conn, func() error {
		_, err := conn.Write(appendQuestion(nil, id))
		return err
	})
	if err == nil && kind == answerHeld {
		kind, text, err = s.awaitAnswer(ctx, conn, func() error { return nil })
	}
	if err == nil && kind == answerOpen {
		return conn, nil
	}
	conn.Reset()
	if err != nil {
		return nil, fmt.Errorf("ask for the client: %w", err)
	}
	refused := &answerError{node: s.node, text: text}
	switch kind {
	case answerMoved:
		refused.is = ErrMoved
	case answerNotAllowed:
		refused.is = ErrNotAllowed
	case answerFailed:
	default:
		return nil, fmt.Errorf("answer %d: %w", kind, errFrame)
	}
	return nil, refused
}

// awaitAnswer reads the answer to what ask sends, unless ctx ends.
func (s *peer) awaitAnswer(ctx context.Context, conn net.Conn, ask func() error) (kind answerKind, text string, err error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	if err = ask(); err == nil {
		kind, text, err = readAnswer(conn)
	}
	if !stop() { // the deadline stays
		err = ctxerr.Of(ctx)
	}
	return kind, text, err
}
