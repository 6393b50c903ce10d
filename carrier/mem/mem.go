// Package mem carries bytes in memory, between the goroutines of one program. It needs no
// ports and no network, and works in testing/synctest bubbles. It is the shortest
// carrier, and the template for others.
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

// Carrier is an in-memory network. Use [New] to make one. Multiple goroutines may call
// its methods at the same time.
type Carrier struct {
	mu        sync.Mutex // guards below
	endpoints map[string]*endpoint
	clients   int // how many have dialled, for their addresses
}

// New returns a network without endpoints.
func New() *Carrier {
	return &Carrier{endpoints: make(map[string]*endpoint)}
}

// Name is "mem".
func (*Carrier) Name() string { return "mem" }

// An addr is an address: the name of an endpoint, or that of a client.
type addr string

// Network is "mem".
func (addr) Network() string { return "mem" }

// String returns the address.
func (a addr) String() string { return string(a) }
