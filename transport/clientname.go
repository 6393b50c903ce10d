package transport

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/backdial/backdial/redact"
)

// NameClient names a client. [Info.Client] and every line of the server's log about the client
// have the name from then on. ctx is the context of the client's request, in the function of
// [WithAuthorize], or [Dialer.Context]; with any other, NameClient does nothing. The latest
// name counts. Package fleet calls NameClient with a client's ID.
func NameClient(ctx context.Context, id string) { clientOf(ctx).set(id) }

// A clientName is the name of the client that made a request, once NameClient has set it. It
// is nil for a context that belongs to no request.
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

// label returns l for lines about the client.
func (n *clientName) label(l *slog.Logger) *slog.Logger {
	if id := n.get(); id != "" {
		return l.With("client", redact.Text(id))
	}
	return l
}
