package cluster_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/bench/harness"
	"github.com/backdial/backdial/transport"
)

// patience bounds what must happen, on a loaded machine.
const patience = time.Minute

// A site is a cluster and its clients.
type site struct {
	t      testing.TB
	ca     *backdialtest.CA
	caFile string
	joined []string // where other engines join those of the present replicas
}

func newSite(t testing.TB) *site {
	t.Helper()
	ca := backdialtest.NewCA(t)
	return &site{t: t, ca: ca, caFile: ca.File(t)}
}

// setup returns the configuration of another replica.
func (s *site) setup(name string) setup {
	s.t.Helper()
	told := setup{Name: name, CA: s.caFile, Join: s.joined}
	told.Certificate, told.Key = backdialtest.CertFiles(s.t, s.ca.Issue(s.t, name, "127.0.0.1"))
	return told
}

// replica starts a replica in this process. It is closed when t is done.
func (s *site) replica(name string) *replica {
	s.t.Helper()
	r, err := startReplica(s.setup(name))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(r.close)
	s.joined = append(s.joined, r.at.Routes)
	backdialtest.Until(s.t, "routes to the other replicas", func() bool { return r.engine.Routes() == len(s.joined)-1 })
	return r
}

// client connects a client to a URL. It is closed when t is done.
func (s *site) client(id, url string, opts ...transport.ClientOption) *transport.Listener {
	s.t.Helper()
	opts = append(opts, transport.WithTLSConfig(&tls.Config{RootCAs: s.ca.Pool()}))
	client, err := transport.DialAndListenContext(s.t.Context(), url, http.Header{"Deviceid": {id}}, opts...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { client.Close() })
	return client
}

// echoes connects a client that echoes all connections.
func (s *site) echoes(id, url string, opts ...transport.ClientOption) {
	s.t.Helper()
	client := s.client(id, url, opts...)
	go (&harness.Client{Accept: client.Accept}).EchoAll()
}

// find waits until dialling a client can succeed.
func (s *site) find(from *replica, id string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := from.Wait(ctx, id); err != nil {
		s.t.Fatal(err)
	}
}

// ids returns the IDs of n clients.
func ids(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("client-%d", i)
	}
	return all
}
