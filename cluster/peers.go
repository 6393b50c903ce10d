package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/redact"
	"github.com/backdial/backdial/transport"
)

// maxPeers is how many sessions there are at most. It limits the cost of forged claims.
const maxPeers = 4096

// Peers are the sessions of this process with replicas. The first with each is opened when it is
// needed, others when there is much to do, and each is closed when it is idle. close ends their
// goroutines.
type peers struct {
	config *config
	most   int             // how many sessions there are at most
	late   error           // why to stop waiting for a replica
	ctx    context.Context // ends with the cluster
	wg     sync.WaitGroup  // a goroutine for each session

	mu     sync.Mutex // guards below
	pairs  map[peerKey]*pair
	all    map[*peer]struct{} // including those in use that open no more streams
	closed bool
}

// A peerKey is a node with all its fields: a claim about a run says nothing about the claims
// of others.
type peerKey struct{ name, run, url, pin string }

// A peer is a session with a replica.
type peer struct {
	node     Node
	opened   chan struct{} // closed when listener or err is set
	listener *transport.Listener
	err      error
	ctx      context.Context // ends with the cluster, or when end is called
	end      context.CancelFunc

	// Guarded by peers.mu.
	dialling int       // calls that dial now
	used     time.Time // when the last call ended, or when it began to open
}

func newPeers(ctx context.Context, c *config) *peers {
	return &peers{
		config: c, ctx: ctx, most: maxPeers, pairs: make(map[peerKey]*pair), all: make(map[*peer]struct{}),
		late: fmt.Errorf("no answer in time: %v", c.tryTimeout),
	}
}

func (n Node) key() peerKey { return peerKey{n.Name, n.Run, n.URL, string(n.Pin)} }

// dial opens a connection to a client through the node that is said to hold it. The error
// matches [ErrMoved] if the node does not hold it, [ErrNotAllowed] or [*PeerError], or else
// says why the node could not dial the client.
func (p *peers) dial(ctx context.Context, node Node, id string) (net.Conn, error) {
	try, cancel := context.WithTimeoutCause(ctx, p.config.tryTimeout, p.late)
	defer cancel()
	for {
		conn, s, fresh, err := p.openStream(try, node)
		if err == nil {
			conn, err = s.ask(ctx, try, conn.(transport.Conn), id)
		}
		if err == nil || isAnswer(err) {
			return conn, err
		}
		if s != nil && !fresh && try.Err() == nil && isOver(err) {
			p.forget(s) // an older session that was about to end
			continue
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("replica %s: %w", redact.Quote(node.Name), ctxerr.Of(ctx))
		}
		return nil, &PeerError{Node: node, Err: err}
	}
}

// openStream opens a stream to a node. It returns the session, and whether that is a new one,
// also with some errors.
func (p *peers) openStream(ctx context.Context, node Node) (conn net.Conn, s *peer, fresh bool, err error) {
	s, fresh, err = p.find(node)
	if err != nil {
		return nil, nil, false, err
	}
	defer p.dialled(s)
	select {
	case <-s.opened:
	case <-ctx.Done():
		return nil, nil, false, fmt.Errorf("connect: %w", ctxerr.Of(ctx))
	}
	if s.err != nil {
		return nil, s, fresh, s.err
	}
	conn, err = s.listener.DialContext(ctx, "", "")
	return conn, s, fresh, err
}

// find returns a session with a node, and whether it is a new one. The caller must call
// dialled when it has dialled.
func (p *peers) find(node Node) (s *peer, fresh bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, false, errClosed
	}
	if pair := p.pairs[node.key()]; pair != nil {
		s, crowded := pair.best()
		if crowded && len(p.all) < p.most {
			p.startLocked(node, pair) // for later calls
		}
		s.dialling++
		return s, false, nil
	}
	if len(p.all) >= p.most && !p.makeRoomLocked() {
		return nil, false, fmt.Errorf("too many sessions with replicas: all %d are in use", p.most)
	}
	pair := new(pair)
	p.pairs[node.key()] = pair
	s = p.startLocked(node, pair)
	s.dialling++
	return s, true, nil
}

// makeRoomLocked ends the session that nobody has used for the longest time. Otherwise a replica
// that claims clients under many names would keep this process from the others. It reports
// false if all sessions are in use.
func (p *peers) makeRoomLocked() bool {
	var longest *peer
	for _, pair := range p.pairs {
		for _, s := range pair.sessions {
			if n, _ := s.load(); n == 0 && s.dialling == 0 && (longest == nil || s.used.Before(longest.used)) {
				longest = s
			}
		}
	}
	if longest == nil {
		return false
	}
	p.forgetLocked(longest)
	longest.end()
	return true
}

// startLocked starts to open another session of a pair.
func (p *peers) startLocked(node Node, pair *pair) *peer {
	s := &peer{node: node, opened: make(chan struct{}), used: time.Now()}
	s.ctx, s.end = context.WithCancel(p.ctx)
	pair.sessions = append(pair.sessions, s)
	p.all[s] = struct{}{}
	p.wg.Go(func() { p.run(s) })
	return s
}

func (p *peers) dialled(s *peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.dialling--
	s.used = time.Now()
}

// run opens a session, and forgets it when it is over or idle.
func (p *peers) run(s *peer) {
	defer s.end()
	s.listener, s.err = p.open(s.ctx, s.node)
	if s.err != nil {
		p.ended(s)
		close(s.opened)
		return
	}
	close(s.opened)
	log := p.config.logger.With("replica", redact.Text(s.node.Name), "url", redact.Address(s.node.URL), "session", s.listener.Info().Session)
	log.Info("cluster: connected to replica")
	p.awaitEnd(s)
	s.listener.Close()
	p.ended(s)
	withEnd(log, s.listener.Err()).Info("cluster: disconnected from replica")
}

// awaitEnd waits until a session is over, or must end because nobody uses it. find no longer
// returns it then.
func (p *peers) awaitEnd(s *peer) {
	idle := time.NewTicker(max(p.config.idle/4, time.Millisecond))
	defer idle.Stop()
	for {
		select {
		case <-idle.C:
			if p.forgetIdle(s) {
				return
			}
		case <-s.listener.Done():
			return
		case <-s.ctx.Done():
			if p.ctx.Err() != nil { // Close or Shutdown of the cluster ends the session
				<-s.listener.Done()
			}
			return
		}
	}
}

func (p *peers) open(ctx context.Context, node Node) (*transport.Listener, error) {
	u, err := peerURL(node.URL)
	if err != nil {
		return nil, err
	}
	if node.Name == "" { // any certificate would do
		return nil, errors.New("the claim names no replica")
	}
	opts := []transport.ClientOption{
		transport.WithLimits(mux.Config{MaxStreams: -1}), // the other replica opens none
		transport.WithKeepAlive(peerKeepAlive, peerKeepAlive),
		transport.WithHandshakeTimeout(peerHandshakeTimeout),
		transport.WithCloseGrace(-1), // Close cuts, and Shutdown does not
	}
	for _, o := range p.config.transport {
		opts = append(opts, o)
	}
	opts = append(opts, transport.WithTLSConfig(askerTLS(p.config.tls, node)), transport.WithRequireNegotiation())
	return transport.DialAndListenContext(ctx, u.String(), nil, opts...)
}

// forget makes find no longer return a session.
func (p *peers) forget(s *peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forgetLocked(s)
}

func (p *peers) forgetLocked(s *peer) {
	if pair := p.pairs[s.node.key()]; pair != nil && pair.remove(s) {
		delete(p.pairs, s.node.key())
	}
}

// forgetIdle forgets a session if it is idle, and reports that.
func (p *peers) forgetIdle(s *peer) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.dialling > 0 || time.Since(s.used) < p.config.idle || s.listener.Info().Streams > 0 {
		return false
	}
	p.forgetLocked(s)
	return true
}

func (p *peers) ended(s *peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forgetLocked(s)
	delete(p.all, s)
	if pair := p.pairs[s.node.key()]; pair != nil && s.err != nil {
		pair.narrow = time.Now().Add(narrowness)
	}
}

// isOver reports whether err says that a session opens no more streams.
func isOver(err error) bool {
	return errors.Is(err, mux.ErrSessionEnded) || errors.Is(err, mux.ErrGoAway) || errors.Is(err, net.ErrClosed)
}

func (p *peers) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.all)
}

// end lets no other session begin, and ends those that there are.
func (p *peers) end(how func(*transport.Listener) error) error {
	p.mu.Lock()
	p.closed = true
	ended := make(chan error, len(p.all))
	n := len(p.all)
	for s := range p.all {
		go func() {
			<-s.opened // soon: the context of opening has ended
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
