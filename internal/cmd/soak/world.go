package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/internal/test/workload"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

// A world is a site with its clients.
type world struct {
	options
	progress *progress
	site     *site
	trust    *tls.Config // for clients
	dialers  workload.Dialers
	sessions atomic.Int64 // of servers
	clients  []*client
}

func newWorld(o options, p *progress) (*world, error) {
	certificate, err := webtransport.SelfSigned("127.0.0.1")
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	w := &world{options: o, progress: p, trust: &tls.Config{RootCAs: roots}}
	for i := range o.clients {
		w.clients = append(w.clients, newClient(i, &o.stacks[i%len(o.stacks)], o))
	}
	w.site = &site{next: w.server, tls: &tls.Config{Certificates: []tls.Certificate{certificate}}}
	for _, s := range o.stacks {
		if l, ok := s.carrier.(carrier.Listener); ok {
			w.site.quic = l
		}
	}
	return w, w.site.open()
}

// server makes a server for all stacks.
func (w *world) server() *transport.Server {
	var carriers []carrier.Carrier
	var muxers []mux.Muxer
	for _, s := range w.stacks {
		if !slices.ContainsFunc(carriers, func(c carrier.Carrier) bool { return c.Name() == s.carrier.Name() }) {
			carriers = append(carriers, s.carrier)
		}
		if !slices.ContainsFunc(muxers, func(m mux.Muxer) bool { return m.Protocol() == s.muxer.Protocol() }) {
			muxers = append(muxers, s.muxer)
		}
	}
	return transport.NewServer(&w.dialers,
		transport.WithCarriers(carriers...), transport.WithMuxes(muxers...),
		transport.WithKeepAlive(w.keepAlive, w.keepAlive),
		transport.WithDrainSpread(w.spread),
		transport.WithAuthorize(named),
		transport.WithTrace(transport.Trace{
			ClientConnected: func(transport.Info) { w.sessions.Add(1) },
			ClientGone:      func(transport.Info, error) { w.sessions.Add(-1) },
		}))
}

// connect connects all clients, each to its address.
func (w *world) connect(ctx context.Context, addr func(*client) string) error {
	const atOnce = 32
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var connecting sync.WaitGroup
	var begun atomic.Int64
	for range atOnce {
		connecting.Go(func() {
			for i := begun.Add(1) - 1; i < int64(len(w.clients)) && ctx.Err() == nil; i = begun.Add(1) - 1 {
				c := w.clients[i]
				if err := c.connect(ctx, addr(c), w.trust, w.options); err != nil {
					cancel(err)
				}
				w.progress.show("%d of %d clients are connected", w.sessions.Load(), len(w.clients))
			}
		})
	}
	connecting.Wait()
	return context.Cause(ctx)
}

// deploy starts the next server. By the time the previous one has shut down, every client
// must have moved, unless its network has lost it.
func (w *world) deploy() error {
	ctx, cancel := context.WithTimeout(context.Background(), deployTimeout)
	defer cancel()
	began := time.Now()
	if err := w.site.deploy(ctx); err != nil {
		return fmt.Errorf("a server has not shut down after %v: %w", time.Since(began).Round(time.Second), err)
	}
	return nil
}

// deployTimeout is long enough to leave the default of WithDrainSpread unchanged, and
// half of it suffices for a client that does not answer.
const deployTimeout = time.Minute

// sample takes a sample of the process.
func (w *world) sample() sample { return take(w.sessions.Load()) }

// close closes everything.
func (w *world) close() {
	var closing sync.WaitGroup
	for _, c := range w.clients {
		closing.Go(c.close)
	}
	closing.Wait()
	w.site.crash()
}

// gone waits until nothing is left of a closed world, at most for patience. It returns a
// sample. before is the sample from before the world.
func gone(before sample, patience time.Duration) (sample, error) {
	after := settled(context.Background(), patience,
		func() sample { return take(0) },
		func(s sample) bool { return s.goroutines <= before.goroutines })
	if after.goroutines > before.goroutines {
		return after, fmt.Errorf("%d goroutines are left, after %d before", after.goroutines, before.goroutines)
	}
	return after, nil
}

// writeGoroutines writes the stacks of all goroutines, to find out why there are so many.
func writeGoroutines(out io.Writer) { pprof.Lookup("goroutine").WriteTo(out, 1) }
