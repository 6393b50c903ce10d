package natsregistry_test

import (
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/cluster/natsregistry"
)

// patience bounds what has to happen, on a loaded machine.
const patience = 20 * time.Second

// serve runs a NATS server on the loopback interface until t is done. options says what
// differs from the defaults of these tests.
func serve(t *testing.T, options server.Options) *server.Server {
	t.Helper()
	if options.Host == "" {
		options.Host = "127.0.0.1"
	}
	if options.Port == 0 {
		options.Port = server.RANDOM_PORT
	}
	options.NoSigs, options.NoLog = true, true
	s, err := server.NewServer(&options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { stop(s) })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server does not start")
	}
	return s
}

func stop(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// connect returns a registry, which is closed when t is done.
func connect(t *testing.T, url string, options ...nats.Option) *natsregistry.Registry {
	t.Helper()
	return connectAs(t, url, natsregistry.Config{Options: options})
}

// connectAs is connect, with all of a configuration.
func connectAs(t *testing.T, url string, config natsregistry.Config) *natsregistry.Registry {
	t.Helper()
	r, err := natsregistry.Connect(url, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// connected is connect, when the engine is there.
func connected(t *testing.T, url string, options ...nats.Option) *natsregistry.Registry {
	t.Helper()
	r := connect(t, url, options...)
	backdialtest.Until(t, "Connected", r.Connected)
	return r
}

// An engine is one NATS server, and the network between it and its users.
type engine struct {
	*server.Server
	network *backdialtest.TCP
	open    []*natsregistry.Registry
}

func newEngine(t *testing.T) *engine {
	t.Helper()
	return newEngineOf(t, server.Options{})
}

func newEngineOf(t *testing.T, options server.Options) *engine {
	t.Helper()
	s := serve(t, options)
	return &engine{Server: s, network: backdialtest.NewTCP(t, s.Addr().String(), 1)}
}

func (e *engine) url() string { return "nats://" + e.network.Addr() }

// connect returns another registry of the engine.
func (e *engine) connect(t *testing.T) *natsregistry.Registry {
	t.Helper()
	r := connected(t, e.url())
	e.open = append(e.open, r)
	return r
}

// down stops the engine, and waits until all registries know.
func (e *engine) down(t *testing.T) (restore func()) {
	t.Helper()
	port := e.Addr().(*net.TCPAddr).Port
	stop(e.Server)
	for _, r := range e.open {
		backdialtest.Until(t, "an outage being noticed", func() bool { return !r.Connected() })
	}
	return func() { e.Server = serve(t, server.Options{Port: port}) }
}

// freeze makes the engine answer nothing.
func (e *engine) freeze() (thaw func()) {
	e.network.Freeze()
	return func() { e.network.Set(backdialtest.Conditions{}) }
}
