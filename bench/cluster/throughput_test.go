package cluster_test

import (
	"context"
	"net"
	"testing"

	"github.com/backdial/backdial/bench/harness"
)

// throughput carries bytes between a client and the replica that has dialled it.
func throughput(b *testing.B) {
	byOwner := func(owner, _ *replica) *replica { return owner }
	byOther := func(_, other *replica) *replica { return other }
	harness.Throughput(b, []harness.Subject{
		{Name: "case=local", Serve: dialled(false, byOwner)},
		{Name: "case=local over TLS", Serve: dialled(true, byOwner)},
		{Name: "case=remote", Serve: dialled(false, byOther)},
	})
}

// dialled dials a client from one of two replicas.
func dialled(tls bool, by func(owner, other *replica) *replica) harness.Serve {
	return func(t harness.TB) func() (*harness.Session, error) {
		s := newSite(t)
		owner, other := s.replica("owner"), s.replica("other")
		return func() (*harness.Session, error) {
			const id = "client"
			client, from := s.client(id, owner.url(tls)), by(owner, other)
			s.find(from, id)
			return &harness.Session{
				Dial:   func() (net.Conn, error) { return from.Dial(context.Background(), id) },
				Accept: client.Accept,
				Close:  func() { client.Close() },
			}, nil
		}
	}
}
