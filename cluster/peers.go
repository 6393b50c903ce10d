package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

// maxPeers bounds what claims that were made up can cost.
const maxPeers = 4096

// Peers are the sessions that this process has with replicas, each opened when it is
// first used, and closed when it is idle. close ends their goroutines.
type peers struct {
	config *config
	ctx    context.Context // ends with the cluster
	wg     sync.WaitGroup  // a goroutine for each session

	mu       sync.Mutex // guards below
	sessions map[peerKey]*peer
	closed   bool
}

// A peerKey is all of a node: what one claim says of a run says nothing of another's.
type peerKey struct{ name, run, url, pin string }

// A peer is a session with a replica.
type peer struct {
	node     Node
	opened   chan struct{} // closed when what follows is set
	listener *transport.Listener
	err      error
	used     atomic.Int64 // when it was dialled last, in Unix nanoseconds
}

func newPeers(ctx context.Context, c *config) *peers {
	return &peers{config: c, ctx: ctx, sessions: make(map[peerKey]*peer)}
}

func (n Node) key() peerKey { return peerKey{n.Name, n.Run, n.URL, string(n.Pin)} }

// session returns the session with a node, and whether it is a new one.
func (p *peers) session(ctx context.Context, node Node) (s *peer, fresh bool, err error) {
	s, fresh, err = p.find(node)
	if err != nil {
		return nil, false, err
	}
	select {
	case <-s.opened:
		return s, fresh, s.err
	case <-ctx.Done():
		return nil, false, fmt.Errorf("connect: %w", ctxerr.Of(ctx))
	}
}

func (p *peers) find(node Node) (s *peer, fresh bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, false, errClosed
	}
	if s := p.sessions[node.key()]; s != nil {
		return s, false, nil
	}
	if len(p.sessions) >= maxPeers {
		return nil, false, fmt.Errorf("there are %d sessions with replicas, which is the most", maxPeers)
	}
	s = &peer{node: node, opened: make(chan struct{})}
	s.used.Store(time.Now().UnixNano())
	p.sessions[node.key()] = s
	p.wg.Go(func() { p.run(s) })
	return s, true, nil
}

// run opens a session, and forgets it when it is over or idle.
func (p *peers) run(s *peer) {
	s.listener, s.err = p.open(s.node)
	if s.err != nil {
		p.forget(s)
		close(s.opened)
		return
	}
	close(s.opened)
	p.config.logger.Info("cluster: connected to replica", "replica", s.node.Name, "url", s.node.URL)
	idle := time.NewTicker(p.config.idle / 4)
	defer idle.Stop()
	for {
		select {
		case <-idle.C:
			if !s.idle(p.config.idle) {
				continue
			}
		case <-s.listener.Done():
		case <-p.ctx.Done(): // whoever closes the cluster ends the session, in one way or the other
			<-s.listener.Done()
		}
		p.forget(s)
		ctx, cancel := context.WithTimeout(context.Background(), peerHandshakeTimeout)
		defer cancel()
		s.listener.Shutdown(ctx) // for who has found it a moment ago
		p.config.logger.Info("cluster: disconnected from replica", "replica", s.node.Name, "url", s.node.URL, "reason", s.listener.Err())
		return
	}
}

func (p *peers) open(node Node) (*transport.Listener, error) {
	u, err := peerURL(node.URL)
	if err != nil {
		return nil, err
	}
	if node.Name == "" { // any certificate would do
		return nil, errors.New("the claim has no name of a replica")
	}
	opts := []transport.ClientOption{
		transport.WithKeepAlive(peerKeepAlive, peerKeepAlive),
		transport.WithHandshakeTimeout(peerHandshakeTimeout),
	}
	for _, o := range p.config.transport {
		opts = append(opts, o)
	}
	opts = append(opts, transport.WithTLSConfig(askerTLS(p.config.tls, node)), transport.WithRequireNegotiation())
	return transport.DialAndListenContext(p.ctx, u.String(), nil, opts...)
}

func (p *peers) forget(s *peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sessions[s.node.key()] == s {
		delete(p.sessions, s.node.key())
	}
}

// idle reports whether a session was not used for so long.
func (s *peer) idle(timeout time.Duration) bool {
	return time.Since(time.Unix(0, s.used.Load())) > timeout && s.listener.Info().Streams == 0
}

// dial opens a stream to a node.
func (s *peer) dial(ctx context.Context) (net.Conn, error) {
	s.used.Store(time.Now().UnixNano())
	return s.listener.DialContext(ctx, "", "")
}

// isOver reports whether err says that a session opens no streams any more.
func isOver(err error) bool {
	return errors.Is(err, mux.ErrSessionEnded) || errors.Is(err, mux.ErrGoAway) || errors.Is(err, net.ErrClosed)
}

func (p *peers) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sessions)
}

// end lets no session begin any more, and ends those that there are.
func (p *peers) end(how func(*transport.Listener) error) error {
	p.mu.Lock()
	p.closed = true
	ended := make(chan error, len(p.sessions))
	n := len(p.sessions)
	for _, s := range p.sessions {
		go func() {
			<-s.opened // at once, because the context of those that are not has ended
			if s.err != nil {
				ended <- nil
				return
			}
			ended <- how(s.listener)
		}()
	}
	p.mu.Unlock()
	var err error
	for range n {
		err = errors.Join(err, <-ended)
	}
	return err
}

func (p *peers) close() {
	p.end((*transport.Listener).Close)
	p.wg.Wait()
}

func (p *peers) shutdown(ctx context.Context) error {
	return p.end(func(l *transport.Listener) error { return l.Shutdown(ctx) })
}
