// Package mem carries bytes in memory, between the goroutines of one program.
// It needs no ports and no network, works inside a testing/synctest bubble,
// and is the shortest carrier there is: the template for another one.
//
// A [Carrier] is a network of its own. Server and client share one:
//
//	network := mem.New()
//	endpoint, err := network.Listen("server", nil, handler)
//	…
//	conn, err := network.Dial(ctx, &carrier.Request{URL: …}) // mem://server/path
package mem

import (
	"sync"

	"github.com/backdial/backdial/carrier"
)

var (
	_ carrier.Carrier  = (*Carrier)(nil)
	_ carrier.Listener = (*Carrier)(nil)
)

// Carrier is an in-memory network. Use [New] to make one. Its methods may be
// called by several goroutines at a time.
type Carrier struct {
	mu        sync.Mutex // guards below
	endpoints map[string]*endpoint
	clients   int // that have dialled, to tell their addresses apart
}

// New returns a network without endpoints.
func New() *Carrier {
	return &Carrier{endpoints: make(map[string]*endpoint)}
}

// Name is "mem".
func (*Carrier) Name() string { return "mem" }

// Addr is the address of an endpoint, which is its name, or of a client.
type Addr string

// Network is "mem".
func (Addr) Network() string { return "mem" }

// String returns the address.
func (a Addr) String() string { return string(a) }
