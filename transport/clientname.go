package transport

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/backdial/backdial/redact"
)

// NameClient says who a client is: [Info.Client] has it from then on, and so has each line of
// the server's log that is about the client. ctx is that of the client's request, in the
// function of [WithAuthorize], or else [Dialer.Context]; with any other, nothing happens. The
// latest name counts. Package fleet calls it with a client's ID.
func NameClient(ctx context.Context, id string) { clientOf(ctx).set(id) }

// A clientName is who the client of a request is, once somebody has said it. It is nil for
// a context that is not of a request.
type clientName struct{ id atomic.Pointer[string] }

type clientNameKey struct{}

// withClient returns a context in which the client can be named.
func withClient(ctx context.Context) context.Context {
	return context.WithValue(ctx, clientNameKey{}, new(clientName))
}

func clientOf(ctx context.Context) *clientName {
	n, _ := ctx.Value(clientNameKey{}).(*clientName)
	return n
}

func (n *clientName) set(id string) {
	if n != nil {
		n.id.Store(&id)
	}
}

// get returns the name, or "" if there is none.
func (n *clientName) get() string {
	if n == nil || n.id.Load() == nil {
		return ""
	}
	return *n.id.Load()
}

// label returns l for lines of the client.
func (n *clientName) label(l *slog.Logger) *slog.Logger {
	if id := n.get(); id != "" {
		return l.With("client", redact.Text(id))
	}
	return l
}
