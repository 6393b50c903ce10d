package faulttest

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/backdial/backdial/internal/test/faultnet"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/internal/test/workload"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

// callers is how many exchanges are under way at a time.
const callers = 3

// A rig is a server, a device that it asks, and a network between them.
type rig struct {
	t       *testing.T
	stack   Stack
	limits  mux.Config
	retry   func(error) bool
	network network
	chance  *rand.Rand // for the test's goroutine alone
	clock   *clock

	dialers  workload.Dialers
	server   *transport.Server
	listener *transport.Listener
	caller   *workload.Caller
	device   *workload.Device

	attempts atomic.Int64 // to connect

	stop    context.CancelFunc // lets no more exchanges begin
	calling sync.WaitGroup
	serving sync.WaitGroup

	mu   sync.Mutex // guards below
	lost []error    // why the client's sessions have ended
}

// A network is a TCP or a UDP network of faultnet.
type network interface {
	Addr() string
	Set(faultnet.Conditions)
	Harmed() int64
}

// newRig starts everything, and waits until there are answers.
func newRig(t *testing.T, s Stack, f fault, config workload.Config) *rig {
	t.Helper()
	clock := startClock(t)
	config.Now = clock.Now
	r := &rig{
		t: t, stack: s, limits: s.limits(f), retry: f.retry(s), clock: clock,
		chance: rand.New(rand.NewPCG(config.Seed, 0)),
		caller: workload.NewCaller(config),
		device: workload.NewDevice(config),
	}
	r.listen(r.serve(config.Seed))
	r.serving.Go(func() { r.device.Serve(r.listener) })
	var running context.Context
	running, r.stop = context.WithCancel(context.Background())
	t.Cleanup(r.stop)
	for range callers {
		r.calling.Go(func() { r.caller.Run(running, r.dialers.Of(0)) })
	}
	r.answers(10)
	return r
}

// serve starts a server and the network to it, and returns what clients need.
func (r *rig) serve(seed uint64) (address string, client *tls.Config) {
	r.t.Helper()
	r.server = transport.NewServer(&r.dialers,
		transport.WithCarriers(r.stack.Carrier),
		transport.WithMuxes(r.stack.Muxer),
		transport.WithLimits(r.limits))
	address, client, _ = r.stack.Serve(r.t, r.server)
	r.t.Cleanup(func() { r.server.Close() })
	u, err := url.Parse(address)
	if err != nil {
		r.t.Fatal(err)
	}
	if r.stack.Network == "udp" {
		r.network = testnet.UDP(r.t, u.Host, seed)
	} else {
		r.network = testnet.TCP(r.t, u.Host, seed)
	}
	r.network.Set(usual)
	u.Host = r.network.Addr()
	return u.String(), client
}

// listen starts a client.
func (r *rig) listen(address string, config *tls.Config) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	var err error
	r.listener, err = transport.DialAndListenContext(ctx, address, workload.Header(0),
		transport.WithCarriers(r.stack.Carrier),
		transport.WithMuxes(r.stack.Muxer),
		transport.WithLimits(r.limits),
		transport.WithTLSConfig(config),
		transport.WithHandshakeTimeout(HandshakeTimeout),
		transport.WithReconnect(backoff),
		transport.WithRetry(r.retry),
		transport.WithTrace(transport.Trace{
			ClientGone:  r.gone,
			DialStarted: func(string) { r.attempts.Add(1) },
		}))
	if err != nil {
		r.t.Fatal("dial and listen:", err)
	}
	r.t.Cleanup(func() { r.listener.Close() })
}

// gone notes why a session of the client has ended.
func (r *rig) gone(_ transport.Info, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost = append(r.lost, err)
}

// losses returns why the client's sessions have ended.
func (r *rig) losses() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost[:len(r.lost):len(r.lost)]
}

// String describes what has happened.
func (r *rig) String() string {
	return fmt.Sprintf("%+v, sessions lost: %q, listener: %v",
		workload.Verify(r.caller.Record(), r.device.Record()), r.losses(), r.listener.Err())
}

// answers waits for n more answers.
func (r *rig) answers(n int) {
	r.t.Helper()
	enough := r.caller.Record().Acknowledged.Len() + n
	r.await(patience, "answers", func() bool { return r.caller.Record().Acknowledged.Len() >= enough })
}

// exchanges waits for n more exchanges to end, well or not.
func (r *rig) exchanges(n int) {
	r.t.Helper()
	enough := r.caller.Record().Exchanges + n
	r.await(patience, "exchanges", func() bool { return r.caller.Record().Exchanges >= enough })
}
