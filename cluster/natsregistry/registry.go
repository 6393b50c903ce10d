package natsregistry

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/redact"
)

// replies is how many messages to a registry's inbox may wait to be read. More are lost, and
// asked for again.
const replies = 8192

// A Registry is a [cluster.Registry] whose engine is NATS. Close ends it, and waits for what
// it has started.
type Registry struct {
	subjects
	nc     *nats.Conn
	link   *link
	inbox  string // the subjects of messages to it begin with this and a dot
	ctx    context.Context
	cancel context.CancelFunc

	running  sync.WaitGroup
	requests chan request

	mu      sync.Mutex // guards below
	closed  bool
	members map[string]*member // by Run
	queries map[uint64]*query
	asked   uint64 // the number of the last query
}

var _ cluster.Registry = (*Registry)(nil)

// Connect returns a registry of the engine at url, such as tls://nats.example:4222, or several
// URLs separated by commas. It tries each once, for at most 2 s. It returns no error if the
// engine is away, or refuses the credentials, which may change; it tries again until Close.
// The Logger and the errors of Locate report that, also when the registry may not read
// answers.
//
// If the engine answers with an error that time does not mend, such as a line longer than its
// max_control_line, the connection ends for good. The errors of Locate say so, and a
// nats.ClosedHandler in the Options is called.
func Connect(url string, config Config) (*Registry, error) {
	subjects, err := config.subjects()
	if err != nil {
		return nil, fmt.Errorf("natsregistry: %w", err)
	}
	r := &Registry{
		subjects: subjects,
		requests: make(chan request),
		members:  make(map[string]*member),
		queries:  make(map[uint64]*query),
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.link = newLink(config.Logger, r.back)
	_, first, _ := r.link.state()
	if r.nc, err = nats.Connect(url, config.options(r.link, &dialer{ctx: r.ctx})...); err != nil {
		r.cancel()
		return nil, fmt.Errorf("natsregistry: connect to the engine at %s: %w", withoutSecrets(url), redact.Error(err))
	}
	r.inbox = r.newInbox()
	heard := make(chan *nats.Msg, replies)
	if _, err := r.nc.ChanSubscribe(r.inbox+".>", heard); err != nil {
		r.cancel()
		r.nc.Close()
		return nil, fmt.Errorf("natsregistry: subscribe to the inbox %s: %w", r.inbox, err)
	}
	r.running.Go(func() { r.hear(heard) })
	r.running.Go(r.request)
	if r.nc.IsConnected() {
		<-first // link is about to be told
		r.link.trust()
	}
	return r, nil
}

// withoutSecrets returns the URLs of an engine for an error: the user in one may be a token,
// also where nats.go adds the scheme.
func withoutSecrets(urls string) string {
	all := strings.Split(urls, ",")
	for i, url := range all {
		if url = strings.TrimSpace(url); !strings.Contains(url, "://") {
			url = "nats://" + url
		}
		all[i] = redact.Address(url)
	}
	return strings.Join(all, ", ")
}

// Connected reports whether the engine is there, for a readiness probe. A replica without it
// goes on with its clients, and others cannot find them.
func (r *Registry) Connected() bool {
	up, _, _ := r.link.state()
	return up
}

// Close withdraws everything that was announced, and ends calls that wait. It may be repeated.
func (r *Registry) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.link.end()
	r.cancel()
	for _, m := range r.joined() {
		m.Close()
	}
	r.nc.Close()
	r.running.Wait()
	return nil
}

// start runs f in a goroutine that Close waits for. After Close it returns false.
func (r *Registry) start(f func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.running.Go(f)
	return true
}

// back makes all members announce what they have once more.
func (r *Registry) back() {
	for _, m := range r.joined() {
		m.back()
	}
}

// joined returns the members.
func (r *Registry) joined() []*member {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.members))
}

// member returns the member with the Run in a token.
func (r *Registry) member(token string) *member {
	run, _ := text(token)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.members[run]
}

// query returns the query with a number.
func (r *Registry) query(number string) *query {
	n, err := strconv.ParseUint(number, 36, 64)
	if err != nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.queries[n]
}

// hear handles messages to the inbox.
func (r *Registry) hear(heard <-chan *nats.Msg) {
	for {
		select {
		case msg := <-heard:
			r.take(msg)
		case <-r.ctx.Done():
			return
		}
	}
}

// take handles a message, which anyone may have sent.
func (r *Registry) take(msg *nats.Msg) {
	kind, rest, _ := strings.Cut(strings.TrimPrefix(msg.Subject, r.inbox+"."), ".")
	if kind == tokenLocate {
		if q := r.query(rest); q != nil {
			q.hear(msg)
		}
		return
	}
	run, client, _ := strings.Cut(rest, ".")
	if m := r.member(run); m != nil {
		m.meet(client, msg, kind == tokenBack)
	}
}

// A request asks the holders of a client.
type request struct{ subject, reply string }

// request sends requests, so that no other goroutine has to wait for a write.
func (r *Registry) request() {
	for {
		select {
		case next := <-r.requests:
			r.nc.PublishRequest(next.subject, next.reply, nil) // what is lost is sent again
		case <-r.ctx.Done():
			return
		}
	}
}
