package cluster_test

import (
	"errors"
	"net"
	"sync"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/cluster/natsserver"
)

// An engine belongs to a replica. A test may restart it while the replica runs.
type engine struct {
	setup setup
	mu    sync.Mutex
	nats  *natsserver.Server // nil while there is none
}

func (e *engine) server() *natsserver.Server {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.nats
}

// start starts an empty engine, which joins others.
func (e *engine) start(join []string) (addr string, err error) {
	tls, err := backdialtest.LoadMutual(e.setup.CA, e.setup.Certificate, e.setup.Key)
	if err != nil {
		return "", err
	}
	s, err := natsserver.Start(natsserver.Config{Name: e.setup.Name, ClusterAddr: anywhere, TLS: tls, Join: join})
	if err != nil {
		return "", err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.nats = s
	return s.ClusterAddr().String(), nil
}

// stop ends the current engine, and leaves nothing of it. It may be repeated.
func (e *engine) stop() {
	s := e.server()
	if s == nil {
		return
	}
	s.Close()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.nats = nil
}

// InProcessConn connects a registry to the current engine.
func (e *engine) InProcessConn() (net.Conn, error) {
	if s := e.server(); s != nil {
		return s.InProcessConn()
	}
	return nil, errors.New("there is no engine")
}
