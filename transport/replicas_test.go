package transport_test

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/backdial/backdial/transport"
)

// A replica is one of several servers behind a load balancer.
type replica struct {
	*transport.Server
	id      string
	dialers chan *transport.Dialer
}

// newReplica returns one that is closed when t is done. It has no ID if that is "".
func newReplica(t *testing.T, id string, opts ...transport.ServerOption) *replica {
	r := &replica{id: id, dialers: make(chan *transport.Dialer, 1000)}
	if id != "" {
		opts = append(opts, transport.WithServerID(id))
	}
	r.Server = serverFunc(t, func(d *transport.Dialer) { r.dialers <- d }, opts...)
	return r
}

// A balancer asks its servers by turns.
type balancer struct {
	site *site

	mu      sync.Mutex // guards below
	servers []*replica
	next    int
	around  func(http.Handler) http.Handler // what is between it and them, or nil
}

// balances runs a test of replicas in a bubble.
func balances(t *testing.T, test func(*testing.T, *balancer)) {
	synctest.Test(t, func(t *testing.T) {
		b := &balancer{site: newSite(t)}
		b.site.answer(b.ServeHTTP)
		test(t, b)
	})
}

// add appends a server to those that are asked.
func (b *balancer) add(t *testing.T, id string, opts ...transport.ServerOption) *replica {
	r := newReplica(t, id, append(opts, transport.WithCarriers(b.site.network))...)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.servers = append(b.servers, r)
	return r
}

// lead asks the named servers, by turns from the first.
func (b *balancer) lead(servers ...*replica) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.servers, b.next = servers, 0
}

// through puts what around returns in front of the servers.
func (b *balancer) through(around func(http.Handler) http.Handler) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.around = around
}

func (b *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	var server http.Handler = b.servers[b.next%len(b.servers)]
	b.next++
	if b.around != nil {
		server = b.around(server)
	}
	b.mu.Unlock()
	server.ServeHTTP(w, r)
}

// listen connects with n sessions.
func (b *balancer) listen(t *testing.T, n int, opts ...transport.ClientOption) (*transport.Listener, *changes) {
	t.Helper()
	return b.site.listen(t, transport.Backoff{}, append(opts, transport.WithSessions(n))...)
}

// serversOf are those that a listener has sessions to, in that order.
func serversOf(lis *transport.Listener) (ids []string) {
	for _, info := range lis.Sessions() {
		ids = append(ids, info.Server)
	}
	return ids
}
