package natsregistry_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/cluster/natsregistry"
)

// TestExternal uses an engine of three servers, with TLS, and with users by password and by
// key.
func TestExternal(t *testing.T) {
	backdialtest.CheckLeaks(t)
	ca := backdialtest.NewCA(t)
	config := ca.Mutual(t, "127.0.0.1")
	config.ClientAuth = tls.NoClientCert
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	var servers []*server.Server
	var urls []string
	for i := range 3 {
		o := server.Options{
			ServerName: fmt.Sprint("nats", i), TLS: true, TLSConfig: config,
			Users:   []*server.User{{Username: "replica", Password: "secret"}},
			Nkeys:   []*server.NkeyUser{{Nkey: public}},
			Cluster: server.ClusterOpts{Name: "engine", Host: "127.0.0.1", Port: server.RANDOM_PORT, TLSConfig: ca.Mutual(t, "127.0.0.1"), PoolSize: -1},
		}
		if i > 0 {
			o.Routes = []*url.URL{{Scheme: "nats-route", Host: servers[0].ClusterAddr().String()}}
		}
		servers = append(servers, serve(t, o))
		urls = append(urls, "tls://"+servers[i].Addr().String())
	}
	for _, s := range servers {
		backdialtest.Until(t, "routes", func() bool { return s.NumRoutes() == 2 })
	}
	trusting := nats.Secure(&tls.Config{RootCAs: ca.Pool()})
	byPassword := connected(t, urls[0], trusting, nats.UserInfo("replica", "secret"))
	byKey := connected(t, urls[1], trusting, nats.Nkey(public, key.Sign))
	a, b := join(t, byPassword), join(t, byKey)
	a.attach("of-a-", 100)
	b.attach("of-b-", 100)
	found(t, byKey, "of-a-99", a)
	found(t, byPassword, "of-b-99", b)

	survivor := connected(t, strings.Join([]string{urls[2], urls[0]}, ","), trusting, nats.UserInfo("replica", "secret"), nats.DontRandomize())
	found(t, survivor, "of-b-0", b)
	stop(servers[2])
	backdialtest.Until(t, "another server of the engine", func() bool {
		c, err := survivor.Locate(t.Context(), "of-b-0")
		return err == nil && c.Node.Run == b.node.Run
	})

	for name, options := range map[string][]nats.Option{
		"wrong password": {trusting, nats.UserInfo("replica", "guessed")},
		"no trust":       {nats.UserInfo("replica", "secret")},
	} {
		r := connect(t, urls[0], options...)
		if _, err := r.Locate(t.Context(), "of-a-0"); !errors.Is(err, cluster.ErrUnavailable) {
			t.Errorf("%s: Locate returned %v, want ErrUnavailable", name, err)
		}
	}
}

// TestInProcess uses a server in the program that does not listen.
func TestInProcess(t *testing.T) {
	backdialtest.CheckLeaks(t)
	s, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer stop(s)
	first, second := connected(t, "", nats.InProcessServer(s)), connected(t, "", nats.InProcessServer(s))
	defer second.Close() // before the server
	defer first.Close()
	a := join(t, first)
	a.attach("client", 1)
	found(t, second, "client0", a)
}

// In TestLateEngine the engine starts later than its users.
func TestLateEngine(t *testing.T) {
	backdialtest.CheckLeaks(t)
	e := newEngine(t)
	restore := e.down(t)
	var callbacks testOptions
	r := connect(t, e.url(), callbacks.options()...)
	a := join(t, r)
	a.attach("client", 1)
	if _, err := r.Locate(t.Context(), "client0"); !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("Locate returned %v, want ErrUnavailable", err)
	}
	restore()
	found(t, e.connect(t), "client0", a)
	<-callbacks.connected
}

// testOptions are a user's.
type testOptions struct{ connected chan struct{} }

func (o *testOptions) options() []nats.Option {
	o.connected = make(chan struct{}, 10)
	return []nats.Option{nats.ConnectHandler(func(*nats.Conn) { o.connected <- struct{}{} })}
}

// In TestSeveralJoins several nodes join one registry.
func TestSeveralJoins(t *testing.T) {
	backdialtest.CheckLeaks(t)
	e := newEngine(t)
	r, outside := e.connect(t), e.connect(t)
	a, b := join(t, r), join(t, r)
	a.attach("client", 1)
	found(t, r, "client0", a)
	b.attach("client", 1)
	receive(t, "a rival of the same registry", a.rivals)
	backdialtest.Until(t, "the other one", func() bool {
		c, err := outside.Locate(t.Context(), "client0", a.node.Run)
		return err == nil && c.Node.Run == b.node.Run
	})
	if _, err := r.Join(a.node, a); err == nil {
		t.Error("one Run can join twice")
	}
	a.Close()
	if _, err := r.Join(a.node, a); err != nil {
		t.Errorf("Join after Close: %v", err)
	}
}

// A slow holder takes its time.
type slow struct {
	*holder
	called, returns chan struct{}
}

func (s slow) Claim(id string) (cluster.Claim, bool) {
	s.called <- struct{}{}
	<-s.returns
	return s.holder.Claim(id)
}

// TestCloseAsking closes a member whose holder is being asked.
func TestCloseAsking(t *testing.T) {
	backdialtest.CheckLeaks(t)
	r := newEngine(t).connect(t)
	s := slow{newHolder("run"), make(chan struct{}, 100), make(chan struct{})}
	m, err := r.Join(s.node, s)
	if err != nil {
		t.Fatal(err)
	}
	m.Attach(cluster.Claim{ID: "client"})
	ctx, cancel := context.WithCancel(t.Context())
	located := make(chan struct{})
	go func() {
		defer close(located)
		for ctx.Err() == nil {
			r.Locate(ctx, "client")
		}
	}()
	<-s.called
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		m.Close()
	}()
	select {
	case <-closed:
		t.Error("Close has returned while the holder is being asked")
	case <-time.After(quiet):
	}
	close(s.returns)
	<-closed
	cancel()
	<-located
}

// In TestManyJoins nodes join a registry and leave it, one after the other. Nothing remains of
// them.
func TestManyJoins(t *testing.T) {
	backdialtest.CheckLeaks(t)
	e := newEngine(t)
	r := e.connect(t)
	nobody(t, r, "client9") // and the engine knows the inbox
	goroutines, subscriptions := runtime.NumGoroutine(), e.NumSubscriptions()
	for range 20 {
		a := join(t, r)
		a.attach("client", 10)
		found(t, r, "client9", a)
		a.Close()
	}
	backdialtest.Until(t, "nothing left", func() bool {
		return runtime.NumGoroutine() <= goroutines && e.NumSubscriptions() == subscriptions
	})
}

// In TestNamespaces clusters share an engine.
func TestNamespaces(t *testing.T) {
	backdialtest.CheckLeaks(t)
	e := newEngine(t)
	other, err := natsregistry.Connect(e.url(), natsregistry.Config{Namespace: "other-1_"})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	r := e.connect(t)
	a := join(t, r)
	a.attach("client", 1)
	found(t, r, "client0", a)
	nobody(t, other, "client0")
}

// In TestLongest everything in a line of the protocol is as long as it may be.
func TestLongest(t *testing.T) {
	backdialtest.CheckLeaks(t)
	e := newEngine(t)
	open := func() *natsregistry.Registry {
		r, err := natsregistry.Connect(e.url(), natsregistry.Config{
			Namespace: strings.Repeat("n", 64), User: strings.Repeat("u", 64),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		return r
	}
	first, second := open(), open()
	a, b := newHolder(strings.Repeat("a", 128)), newHolder(strings.Repeat("b", 128))
	a.join(t, first)
	b.join(t, second)
	id := strings.Repeat("x", 127)
	watched, err := second.Watch(t.Context(), id+"0")
	if err != nil {
		t.Fatal(err)
	}
	a.attach(id, 1)
	found(t, second, id+"0", a)
	receive(t, "a watcher", watched)
	b.attach(id, 1)
	receive(t, "a rival", a.rivals)
	if !first.Connected() || !second.Connected() {
		t.Error("the engine has ended a connection")
	}
}

// In TestShortLines an engine ends the connection because of a line that is too long for it.
// That must not look like an outage, which passes.
func TestShortLines(t *testing.T) {
	backdialtest.CheckLeaks(t)
	s := serve(t, server.Options{MaxControlLine: 160})
	r := connected(t, "nats://"+s.Addr().String())
	join(t, r).attach(strings.Repeat("x", 127), 1)
	backdialtest.Until(t, "the end of the connection", func() bool { return !r.Connected() })
	_, err := r.Locate(t.Context(), "another")
	if !errors.Is(err, cluster.ErrUnavailable) || !strings.Contains(err.Error(), "closed for good") || !strings.Contains(err.Error(), "control line") {
		t.Errorf("Locate returned %v; want ErrUnavailable, for good, and why", err)
	}
}

// TestRefusals expects nonsense to be refused.
func TestRefusals(t *testing.T) {
	backdialtest.CheckLeaks(t)
	e := newEngine(t)
	for name, config := range map[string]natsregistry.Config{
		"dot":           {Namespace: "a.b"},
		"wildcard":      {Namespace: "*"},
		"space":         {Namespace: "a b"},
		"long":          {Namespace: strings.Repeat("x", 65)},
		"user dot":      {User: "a.b"},
		"user wildcard": {User: ">"},
		"user long":     {User: strings.Repeat("x", 65)},
		"NoEcho":        {Options: []nats.Option{nats.NoEcho()}},
		"inbox":         {Options: []nats.Option{nats.CustomInboxPrefix("_INBOX.web")}},
	} {
		if r, err := natsregistry.Connect(e.url(), config); err == nil {
			t.Errorf("%s: the configuration is accepted", name)
			r.Close()
		}
	}
	r := e.connect(t)
	for name, node := range map[string]cluster.Node{
		"no run":   {Name: "a"},
		"long run": {Name: "a", Run: strings.Repeat("x", 129)},
		"not UTF8": {Name: "\xff", Run: "x"},
		"pin":      {Run: "x", Pin: []byte("short")},
		"long":     {Run: "x", URL: strings.Repeat("x", 4096)},
	} {
		if _, err := r.Join(node, nil); err == nil {
			t.Errorf("%s: the node is accepted", name)
		}
	}
}

// In TestConnectShowsNoSecret the URLs of an engine are wrong, and contain a token or a
// password.
func TestConnectShowsNoSecret(t *testing.T) {
	backdialtest.CheckLeaks(t)
	for _, urls := range []string{
		"nats://TopSecret@127.0.0.1:port",
		"TopSecret@127.0.0.1:port",
		"nats://user:Top%zzSecret@127.0.0.1",
		"nats://user:TopSecret@127.0.0.1:1, nats://TopSecret@127.0.0.1:port",
	} {
		r, err := natsregistry.Connect(urls, natsregistry.Config{})
		if err == nil {
			r.Close()
			t.Errorf("%s: no error", urls)
		} else if text := err.Error(); strings.Contains(text, "Secret") || !strings.Contains(text, "connect to the engine at") {
			t.Errorf("%s: error %v", urls, err)
		}
	}
}
