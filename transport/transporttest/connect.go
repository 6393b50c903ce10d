package transporttest

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/powers"
	"github.com/backdial/backdial/internal/test/faultnet"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/muxtest"
	"github.com/backdial/backdial/transport"
)

// patience limits waits, on a loaded machine.
const patience = 20 * time.Second

// A session is a server with one client.
type session struct {
	server   *transport.Server
	dialer   *transport.Dialer
	listener *transport.Listener
}

// start starts a server with options and connects a client to it. It closes both when t is
// done.
func (s Stack) start(t *testing.T, header http.Header, server []transport.ServerOption, client []transport.ClientOption) session {
	t.Helper()
	dialers := make(chan *transport.Dialer, 1)
	srv := s.newServer(t, dialers, server...)
	url, tls, stop := s.Serve(t, withValue(srv))
	if s.through != nil {
		url = rerouted(t, url, s.through)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	lis, err := s.listen(ctx, url, header, tls, client...)
	if err != nil {
		t.Fatal("dial and listen:", err)
	}
	t.Cleanup(func() { lis.Close() })
	d := await(t, "Dialer", dialers)
	stop()
	return session{srv, d, lis}
}

// rerouted returns address with the host that through returns.
func rerouted(t *testing.T, address string, through func(host string) string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = through(u.Host)
	return u.String()
}

type contextKey struct{}

// withValue wraps a server in a handler that adds a value to the context.
func withValue(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, "value")))
	})
}

func await[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s after %v", what, patience)
		panic("unreachable")
	}
}

// connect makes a session for muxtest.
func (s Stack) connect(t *testing.T, dial, listen mux.Config) muxtest.Pair {
	t.Helper()
	made, dialLink, listenLink := s.startLinked(t,
		[]transport.ServerOption{transport.WithLimits(dial)}, []transport.ClientOption{transport.WithLimits(listen)})
	return made.pair(dialLink, listenLink)
}

// startLinked is start, with a link under each end that can fail.
func (s Stack) startLinked(t *testing.T, server []transport.ServerOption, client []transport.ClientOption) (made session, dial, listen muxtest.Link) {
	t.Helper()
	if c, ok := s.Carrier.(carrier.StreamCarrier); ok {
		// A wrapper would hide the optional methods of a connection, so the network fails
		// instead.
		observed := &observedCarrier{c, newObserver[carrier.Conn]()}
		var network *faultnet.UDP
		s.through = func(server string) string {
			network = testnet.UDP(t, server, 0)
			return network.Addr()
		}
		made = s.startWith(t, observed, server, client)
		return made, networkLink{<-observed.upgraded, network}, networkLink{<-observed.dialled, network}
	}
	linked := &linkedCarrier{s.Carrier, newObserver[muxtest.Link]()}
	made = s.startWith(t, linked, server, client)
	return made, <-linked.upgraded, <-linked.dialled
}

// startWith is start with another carrier around the stack's.
func (s Stack) startWith(t *testing.T, c carrier.Carrier, server []transport.ServerOption, client []transport.ClientOption) session {
	t.Helper()
	return s.start(t, nil, append(server, transport.WithCarriers(c)), append(client, transport.WithCarriers(c)))
}

// pair returns the two ends of a session that runs on links.
func (made session) pair(dial, listen muxtest.Link) muxtest.Pair {
	ended, end := context.WithCancelCause(context.Background())
	go func() { // ends with the session
		<-made.listener.Done()
		end(made.listener.Err())
	}()
	return muxtest.Pair{
		Dial:       dialEnd{made.dialer, made.server},
		Listen:     listenEnd{made.listener, ended},
		DialLink:   dial,
		ListenLink: listen,
	}
}

// An observer gets the two ends of a connection.
type observer[T any] struct{ dialled, upgraded chan T }

func newObserver[T any]() observer[T] { return observer[T]{make(chan T, 1), make(chan T, 1)} }

// A linkedCarrier puts a link under each end of a connection.
type linkedCarrier struct {
	carrier.Carrier
	observer[muxtest.Link]
}

type linkedConn struct {
	*muxtest.ConnLink
	protocol string
}

func (c linkedConn) Protocol() string { return c.protocol }

// linkedMessages adds the message methods of a connection, through a link.
type linkedMessages struct {
	*muxtest.ConnLink
	powers.Messenger
}

func (m linkedMessages) NextMessage(limit int) (int, error) {
	size, err := m.Messenger.NextMessage(limit)
	if gone := m.Pass(); gone != nil {
		return 0, gone
	}
	return size, err
}

func (m linkedMessages) WriteMessages(messages ...[]byte) error {
	if err := m.Pass(); err != nil {
		return err
	}
	return m.Messenger.WriteMessages(messages...)
}

func (m linkedMessages) WriteLast(messages ...[]byte) error {
	if err := m.Pass(); err != nil {
		return err
	}
	return m.Messenger.WriteLast(messages...)
}

// A linkedPromptWriter writes through a link without waiting.
type linkedPromptWriter struct {
	*muxtest.ConnLink
	powers.PromptWriter
}

func (w linkedPromptWriter) WriteNow(messages ...[]byte) (kept bool, err error) {
	if !w.Passes() {
		return true, nil // for ever
	}
	return w.PromptWriter.WriteNow(messages...)
}

func (w linkedPromptWriter) Flush() error {
	if err := w.Pass(); err != nil {
		return err
	}
	return w.PromptWriter.Flush()
}

// A linkedPromptReader reads through a link without waiting.
type linkedPromptReader struct {
	*muxtest.ConnLink
	powers.PromptReader
}

func (r linkedPromptReader) ReadNow(p []byte) int {
	if !r.Passes() {
		return 0
	}
	return r.PromptReader.ReadNow(p)
}

func (r linkedPromptReader) Arrive(wait bool) (whole bool) {
	return r.Passes() && r.PromptReader.Arrive(wait) && r.Passes()
}

// link returns conn with a link under it. It has the powers of conn, and no others, so that
// the session does what it does on conn.
func link(conn carrier.Conn, err error, to chan<- muxtest.Link) (carrier.Conn, error) {
	if err != nil {
		return nil, err
	}
	link := muxtest.NewLink(conn)
	to <- link
	p := powers.OfConn(conn)
	if p.CloseWriter != nil {
		p.CloseWriter = link
	}
	if p.Messenger != nil {
		p.Messenger = linkedMessages{link, p.Messenger}
	}
	if p.PromptWriter != nil {
		p.PromptWriter = linkedPromptWriter{link, p.PromptWriter}
	}
	if p.PromptReader != nil {
		p.PromptReader = linkedPromptReader{link, p.PromptReader}
	}
	return p.Wrap(linkedConn{link, conn.Protocol()}), nil
}

func (c *linkedCarrier) Dial(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
	conn, err := c.Carrier.Dial(ctx, r)
	return link(conn, err, c.dialled)
}

func (c *linkedCarrier) Upgrade(w http.ResponseWriter, r *http.Request, protocol string) (carrier.Conn, error) {
	conn, err := c.Carrier.Upgrade(w, r, protocol)
	return link(conn, err, c.upgraded)
}

// An observedCarrier reports the connections that it makes.
type observedCarrier struct {
	carrier.StreamCarrier
	observer[carrier.Conn]
}

func observe(conn carrier.Conn, err error, to chan<- carrier.Conn) (carrier.Conn, error) {
	if err == nil {
		to <- conn
	}
	return conn, err
}

func (c *observedCarrier) Dial(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
	conn, err := c.StreamCarrier.Dial(ctx, r)
	return observe(conn, err, c.dialled)
}

func (c *observedCarrier) Upgrade(w http.ResponseWriter, r *http.Request, protocol string) (carrier.Conn, error) {
	conn, err := c.StreamCarrier.Upgrade(w, r, protocol)
	return observe(conn, err, c.upgraded)
}

// A networkLink is the network under one end of a connection.
type networkLink struct {
	carrier.Conn
	network *faultnet.UDP
}

func (l networkLink) Freeze() { l.network.Freeze() }

// Cut closes the connection, which is no orderly end for its session.
func (l networkLink) Cut() { l.Close() }

// A dialEnd is a Dialer as a [mux.Session].
type dialEnd struct {
	*transport.Dialer
	server *transport.Server
}

func (e dialEnd) Open(ctx context.Context) (mux.Stream, error) {
	conn, err := e.DialContext(ctx, "", "")
	if err != nil {
		return nil, err
	}
	return conn.(mux.Stream), nil
}

// Accept blocks: a client does not open streams.
func (e dialEnd) Accept(context.Context) (mux.Stream, error) {
	<-e.Done()
	return nil, e.Err()
}

func (e dialEnd) RoundTrip() time.Duration { return e.Info().RoundTrip }

func (e dialEnd) Streams() int { return e.Info().Streams }

func (e dialEnd) Send([]byte) error { return errors.ErrUnsupported }

func (e dialEnd) Shutdown(ctx context.Context) error { return e.server.Shutdown(ctx) }

// A listenEnd is a Listener as a [mux.Session].
type listenEnd struct {
	*transport.Listener
	ended context.Context
}

// Open fails: a client does not open streams.
func (e listenEnd) Open(ctx context.Context) (mux.Stream, error) {
	select {
	case <-e.Done():
		return nil, e.Err()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (e listenEnd) RoundTrip() time.Duration { return e.Info().RoundTrip }

func (e listenEnd) Streams() int { return e.Info().Streams }

func (e listenEnd) Ping(context.Context) error { return errors.ErrUnsupported }

func (e listenEnd) Send([]byte) error { return errors.ErrUnsupported }

func (e listenEnd) Accept(context.Context) (mux.Stream, error) {
	conn, err := e.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return conn.(mux.Stream), nil
}

func (e listenEnd) Context() context.Context { return e.ended }
