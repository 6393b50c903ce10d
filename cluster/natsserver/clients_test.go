package natsserver_test

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/cluster/natsserver"
)

// In TestInProcess a client in the program uses a server that does not listen.
func TestInProcess(t *testing.T) {
	backdialtest.CheckLeaks(t)
	s := start(t, natsserver.Config{Name: "a"})
	if s.ClusterAddr() != nil || s.ClientAddr() != nil {
		t.Errorf("the server listens at %v and %v", s.ClusterAddr(), s.ClientAddr())
	}
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Request("nobody", nil, patience); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("error %v, want nats.ErrNoResponders", err)
	}
	s.Close()
	if _, err := s.InProcessConn(); err == nil {
		t.Error("a closed server can be connected to")
	}
}

// In TestClients clients elsewhere have to authenticate.
func TestClients(t *testing.T) {
	backdialtest.CheckLeaks(t)
	ca := backdialtest.NewCA(t)
	s := start(t, natsserver.Config{
		Name: "a", ClientAddr: anywhere, ClientTLS: &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "127.0.0.1")}},
		Users: []*server.User{{Username: "web", Password: "secret"}},
	})
	url := "tls://" + s.ClientAddr().String()
	trusting := nats.Secure(&tls.Config{RootCAs: ca.Pool()})
	nc, err := nats.Connect(url, trusting, nats.UserInfo("web", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	for name, options := range map[string][]nats.Option{
		"anonymous":      {trusting},
		"wrong password": {trusting, nats.UserInfo("web", "guessed")},
	} {
		if nc, err := nats.Connect(url, options...); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: error %v, want nats.ErrAuthorization", name, err)
			nc.Close()
		}
	}
	if nc, err := nats.Connect(url, nats.UserInfo("web", "secret")); err == nil {
		t.Error("a client that does not trust the server connects to it")
		nc.Close()
	}
}

// TestConfigErrors expects unsafe servers not to start.
func TestConfigErrors(t *testing.T) {
	backdialtest.CheckLeaks(t)
	taken, err := net.Listen("tcp", anywhere)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	ca := backdialtest.NewCA(t)
	good := func(change func(*tls.Config)) *tls.Config {
		config := ca.Mutual(t, "127.0.0.1")
		change(config)
		return config
	}
	certified := &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "127.0.0.1")}}
	route := func(config *tls.Config) natsserver.Config {
		return natsserver.Config{Name: "a", ClusterAddr: anywhere, TLS: config}
	}
	for _, test := range []struct {
		name   string
		config natsserver.Config
		text   string
	}{
		{"no name", natsserver.Config{}, "no Name"},
		{"routes without TLS", route(nil), "it is mandatory"},
		{"InsecureSkipVerify", route(good(func(c *tls.Config) { c.InsecureSkipVerify = true })), "InsecureSkipVerify"},
		{"GetConfigForClient", route(good(func(c *tls.Config) {
			c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }
		})), "GetConfigForClient"},
		{"no authority", route(good(func(c *tls.Config) { c.RootCAs, c.ClientCAs = nil, nil })), "RootCAs"},
		{"no certificate", route(good(func(c *tls.Config) { c.Certificates = nil })), "no certificate"},
		{"Configure undoes it", natsserver.Config{
			Name: "a", ClusterAddr: anywhere, TLS: ca.Mutual(t, "127.0.0.1"),
			Configure: func(o *server.Options) { o.Cluster.TLSConfig.ClientAuth = tls.NoClientCert },
		}, "certificates of both sides"},
		{"Join alone", natsserver.Config{Name: "a", Join: []string{"127.0.0.1:6222"}}, "without ClusterAddr"},
		{"Join without a port", natsserver.Config{
			Name: "a", ClusterAddr: anywhere, TLS: ca.Mutual(t, "127.0.0.1"), Join: []string{"replica"},
		}, "missing port"},
		{"no port", natsserver.Config{Name: "a", ClientAddr: "127.0.0.1"}, "missing port"},
		{"clients without TLS", natsserver.Config{Name: "a", ClientAddr: ":0"}, "needs ClientTLS"},
		{"clients without names", natsserver.Config{Name: "a", ClientAddr: ":0", ClientTLS: certified}, "anybody could claim"},
		{"address in use", natsserver.Config{Name: "a", ClientAddr: taken.Addr().String()}, "address already in use"},
		{"address of routes in use", natsserver.Config{
			Name: "a", ClusterAddr: taken.Addr().String(), TLS: ca.Mutual(t, "127.0.0.1"),
		}, "address already in use"},
	} {
		began := time.Now()
		s, err := natsserver.Start(test.config)
		if err == nil || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: error %v, want %s", test.name, err, test.text)
		}
		if err == nil {
			s.Close()
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: Start took %v", test.name, took)
		}
	}
}

// In TestOneAuthority a configuration names the authority once.
func TestOneAuthority(t *testing.T) {
	backdialtest.CheckLeaks(t)
	ca := backdialtest.NewCA(t)
	roots, clients := ca.Mutual(t, "127.0.0.1"), ca.Mutual(t, "127.0.0.1")
	roots.ClientCAs, roots.ClientAuth, clients.RootCAs = nil, tls.NoClientCert, nil
	a := member(t, "a", roots)
	meet(t, a, member(t, "b", clients, addr(a)))
}
