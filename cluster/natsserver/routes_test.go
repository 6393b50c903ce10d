package natsserver_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/cluster/natsserver"
)

// In TestJoin servers find each other, though none names all.
func TestJoin(t *testing.T) {
	backdialtest.CheckLeaks(t)
	ca := backdialtest.NewCA(t)
	config := ca.Mutual(t, "127.0.0.1")
	a := member(t, "a", config)
	b := member(t, "b", config, addr(a))
	c := member(t, "c", config, addr(b), free(t))
	meet(t, a, b, c)
	if a.ClientAddr() != nil {
		t.Errorf("a server listens for clients at %v", a.ClientAddr())
	}
}

// In TestJoinLate a server starts before the servers that it joins, and comes back.
func TestJoinLate(t *testing.T) {
	backdialtest.CheckLeaks(t)
	config := backdialtest.NewCA(t).Mutual(t, "127.0.0.1")
	there := free(t)
	early := member(t, "early", config, there)
	other := member(t, "other", config, there)
	for range 2 {
		late := start(t, natsserver.Config{Name: "late", ClusterAddr: there, TLS: config, Join: []string{there}})
		meet(t, early, other, late)
		late.Close()
		late.Close()
		meet(t, early, other)
	}
}

// In TestNames servers that have heard of each other expect the documented names.
func TestNames(t *testing.T) {
	ca := backdialtest.NewCA(t)
	for _, test := range []struct {
		name  string
		start func(t *testing.T) (a, b, c *natsserver.Server)
	}{
		{"host of Join", func(t *testing.T) (a, b, c *natsserver.Server) {
			config := ca.Mutual(t, "localhost")
			a = member(t, "a", config)
			join := port(t, a, "localhost")
			return a, member(t, "b", config, join), member(t, "c", config, join)
		}},
		{"Advertise", func(t *testing.T) (a, b, c *natsserver.Server) {
			a = member(t, "a", ca.Mutual(t, "127.0.0.1", "localhost"))
			there := free(t)
			_, digits, err := net.SplitHostPort(there)
			if err != nil {
				t.Fatal(err)
			}
			b = start(t, natsserver.Config{
				Name: "b", ClusterAddr: there, Advertise: "localhost:" + digits,
				TLS: ca.Mutual(t, "localhost"), Join: []string{port(t, a, "localhost")},
			})
			return a, b, member(t, "c", ca.Mutual(t, "127.0.0.1", "localhost"), addr(a))
		}},
		{"ServerName", func(t *testing.T) (a, b, c *natsserver.Server) {
			config := ca.Mutual(t, "cluster.example")
			config.ServerName = "cluster.example"
			a = member(t, "a", config)
			return a, member(t, "b", config, addr(a)), member(t, "c", config, port(t, a, "localhost"))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			backdialtest.CheckLeaks(t)
			a, b, c := test.start(t)
			meet(t, a, b, c)
		})
	}
}

// In TestStrangers servers join with insufficient certificates.
func TestStrangers(t *testing.T) {
	ca := backdialtest.NewCA(t)
	other := backdialtest.NewCA(t)
	halfTrusting := other.Mutual(t, "127.0.0.1")
	halfTrusting.RootCAs = ca.Pool()
	service := ca.Mutual(t)
	service.Certificates = []tls.Certificate{ca.IssueFor(t, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, "127.0.0.1")}
	for _, test := range []struct {
		name     string
		stranger *tls.Config
		joined   string // the host in the certificate of the server that is joined
		says     string // either of them
	}{
		{"another authority", other.Mutual(t, "127.0.0.1"), "127.0.0.1", "unknown authority"},
		{"another authority, and trust", halfTrusting, "127.0.0.1", "unknown authority"},
		{"a service", service, "127.0.0.1", "is not for a server"},
		{"another name of who is joined", ca.Mutual(t, "127.0.0.1"), "a.example", "doesn't contain any IP SANs"},
	} {
		t.Run(test.name, func(t *testing.T) {
			backdialtest.CheckLeaks(t)
			var said backdialtest.Log
			a := start(t, natsserver.Config{
				Name: "a", ClusterAddr: anywhere, TLS: ca.Mutual(t, test.joined), Logger: said.Logger(),
			})
			s := start(t, natsserver.Config{
				Name: "stranger", ClusterAddr: anywhere, TLS: test.stranger, Join: []string{addr(a)}, Logger: said.Logger(),
			})
			backdialtest.Until(t, "a handshake that fails", func() bool {
				return said.Has("TLS route handshake error") && said.Has(test.says)
			})
			if a.Routes() != 0 || s.Routes() != 0 {
				t.Errorf("%d and %d routes, want none", a.Routes(), s.Routes())
			}
		})
	}
}

// TestNoCertificate dials the address of routes without a certificate, or with an older
// version of TLS.
func TestNoCertificate(t *testing.T) {
	backdialtest.CheckLeaks(t)
	ca := backdialtest.NewCA(t)
	a := member(t, "a", ca.Mutual(t, "127.0.0.1"))
	old := ca.Mutual(t, "127.0.0.1")
	old.MaxVersion = tls.VersionTLS12
	for name, config := range map[string]*tls.Config{"no certificate": {RootCAs: ca.Pool()}, "an old version": old} {
		c, err := tls.Dial("tcp", addr(a), config)
		if err == nil { // by version 1.3 the client hears of it later
			_, err = c.Read(make([]byte, 1))
			c.Close()
		}
		if err == nil {
			t.Errorf("%s: a server says something", name)
		}
	}
}

// In TestHangs a server no longer answers, and its connections stay open.
func TestHangs(t *testing.T) {
	backdialtest.CheckLeaks(t)
	config := backdialtest.NewCA(t).Mutual(t, "127.0.0.1")
	a := member(t, "a", config)
	network := backdialtest.NewTCP(t, addr(a), 1)
	b := member(t, "b", config, network.Addr())
	meet(t, a, b)
	network.Freeze()
	backdialtest.Until(t, "the end of the route", func() bool { return a.Routes() == 0 && b.Routes() == 0 })
}

// TestSubscriptions expects a server to know the subscriptions at another.
func TestSubscriptions(t *testing.T) {
	backdialtest.CheckLeaks(t)
	config := backdialtest.NewCA(t).Mutual(t, "127.0.0.1")
	a := member(t, "a", config)
	b := member(t, "b", config, addr(a))
	meet(t, a, b)
	nc, err := nats.Connect("", nats.InProcessServer(a))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, subject := range []string{"one", "another"} {
		if _, err := nc.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
	}
	backdialtest.Until(t, "two subscriptions at both servers", func() bool { return a.Subscriptions() == 2 && b.Subscriptions() == 2 })
	nc.Close()
	backdialtest.Until(t, "no subscriptions at both servers", func() bool { return a.Subscriptions() == 0 && b.Subscriptions() == 0 })
}
