package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/transport"
)

// web connects a client that serves HTTP: its name and what it was sent.
func (r *replica) web(t *testing.T, id, name string) *transport.Listener {
	t.Helper()
	lis, err := transport.DialAndListenContext(t.Context(), r.url, http.Header{"Deviceid": {id}}, transport.WithCloseGrace(-1))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		fmt.Fprintf(w, "%s: %s %s %s", name, q.Method, q.URL.Path, body)
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(lis)
	}()
	t.Cleanup(func() {
		server.Close()
		lis.Close()
		<-served
	})
	if _, err := r.clients.Wait(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return lis
}

// A browser sends requests, each with a deadline.
type browser struct{ *http.Client }

func browse(t *testing.T, c *cluster.Cluster, configure ...func(*http.Transport)) browser {
	t.Helper()
	transport := c.Transport(configure...)
	t.Cleanup(transport.CloseIdleConnections)
	return browser{&http.Client{Transport: transport, Timeout: 20 * time.Second}}
}

// says expects an answer.
func (b browser) says(t *testing.T, url, want string) {
	t.Helper()
	answer, err := b.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if got, err := io.ReadAll(answer.Body); string(got) != want || err != nil {
		t.Errorf("the answer is %q, %v, want %q", got, err, want)
	}
}

// TestTransport sends requests to clients here and elsewhere, by ID.
func TestTransport(t *testing.T) {
	s := newSite(t)
	a, b := s.replica(t, "a"), s.replica(t, "b")
	a.web(t, "x", "X")
	b.web(t, "y", "Y")
	s.located(t, "x", "a")
	s.located(t, "y", "b")
	for _, c := range []*cluster.Cluster{a.Cluster, s.service(t, "c")} {
		client := browse(t, c)
		for range 3 {
			client.says(t, "http://x/status", "X: GET /status ")
			client.says(t, "http://y:8080/", "Y: GET / ")
		}
	}
	if got := b.Stats().Relayed; got != 2 {
		t.Errorf("%d connections are relayed, want one for each of the two who ask", got)
	}
	for url, want := range map[string]error{
		"http://nobody/":                     cluster.ErrNotConnected,
		"http://.no-id/":                     fleet.ErrInvalidID,
		"http://[::1]/":                      fleet.ErrInvalidID,
		"http://" + strings.Repeat("x", 129): fleet.ErrInvalidID,
	} {
		body := &tracked{Reader: strings.NewReader("body")}
		_, err := browse(t, a.Cluster).Post(url, "", body)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", url, err, want)
		}
		if !body.closed.Load() {
			t.Errorf("%s: the body is not closed", url)
		}
	}
}

// A tracked body cannot be read when it is closed.
type tracked struct {
	io.Reader
	closed atomic.Bool
}

func (b *tracked) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, net.ErrClosed
	}
	return b.Reader.Read(p)
}

func (b *tracked) Close() error {
	b.closed.Store(true)
	return nil
}

// In TestTransportFollows a client moves from here to there and on between requests.
func TestTransportFollows(t *testing.T) {
	s := newSite(t)
	here, there, yonder := s.replica(t, "here"), s.replica(t, "there"), s.replica(t, "yonder")
	client := browse(t, here.Cluster)
	for i, r := range []*replica{here, there, yonder, there, here} {
		name := fmt.Sprint("the ", i)
		lis := r.web(t, "x", name)
		if err := here.Wait(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		client.says(t, "http://x/", name+": GET / ")
		r.disconnect(t, "x", lis)
		await.Until(t, "nobody has the client", func() bool {
			_, err := s.registry.Locate(t.Context(), "x")
			return err != nil
		})
		if _, err := client.Get("http://x/"); !errors.Is(err, cluster.ErrNotConnected) && !errors.Is(err, cluster.ErrMoved) {
			t.Errorf("%v, want ErrNotConnected or ErrMoved", err)
		}
	}
}

// In TestTransportGivesUp the transport keeps a connection to a client of another replica for
// a short time only, so that it does not delay a client that drains.
func TestTransportGivesUp(t *testing.T) {
	s := newSite(t)
	a := s.replica(t, "a")
	a.web(t, "x", "X")
	s.located(t, "x", "a")
	client := browse(t, s.service(t, "c"), func(h *http.Transport) { h.IdleConnTimeout = 50 * time.Millisecond })
	client.says(t, "http://x/", "X: GET / ")
	await.Until(t, "the connection is given up", func() bool { return a.Stats().Relayed == 0 })
}

// TestTransportKeeps expects no connection to be kept for longer than the move of a client may
// take.
func TestTransportKeeps(t *testing.T) {
	for set, want := range map[time.Duration]time.Duration{0: 5 * time.Second, time.Second: time.Second, time.Hour: 5 * time.Second, -1: 5 * time.Second} {
		c := newSite(t).service(t, "c")
		if got := c.Transport(func(h *http.Transport) { h.IdleConnTimeout = set }).RemoteIdleTimeout(); got != want {
			t.Errorf("%v: %v, want %v", set, got, want)
		}
	}
}

// TestTransportRenews sends requests all the time to a client elsewhere. No connection is used
// for longer than the move of that client may take.
func TestTransportRenews(t *testing.T) {
	long.Only(t)
	s := newSite(t)
	a := s.replica(t, "a")
	a.web(t, "x", "X")
	s.located(t, "x", "a")
	c := s.service(t, "c")
	reach := c.Transport()
	t.Cleanup(reach.CloseIdleConnections)
	client := browser{&http.Client{Transport: reach}}
	for range 3 {
		client.says(t, "http://x/", "X: GET / ")
	}
	if got := c.Stats().Remote; got != 1 {
		t.Errorf("%d connections for requests one after the other, want 1", got)
	}
	reach.Age(6 * time.Second)
	client.says(t, "http://x/", "X: GET / ")
	if got := c.Stats().Remote; got != 2 {
		t.Errorf("%d connections, want another after 6 s", got)
	}
	await.Until(t, "both are given up", func() bool { return a.Stats().Relayed == 0 })
}

// In TestTransportWaitsElsewhere the fleet of a replica waits for its own clients, and not for
// those elsewhere.
func TestTransportWaitsElsewhere(t *testing.T) {
	s := newSite(t)
	clients := fleet.New(fleet.ByHeader("DeviceId"), fleet.WithWaitForClient())
	r, err := http.NewRequest(http.MethodGet, "http://x/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = clients.TryTransport().RoundTrip(r); err == nil {
		t.Error("a client that is not there answers")
	} else if _, ok := errors.AsType[*fleet.NotConnectedError](err); !ok {
		t.Errorf("%v, want a NotConnectedError", err)
	}
	there := s.replica(t, "there")
	there.web(t, "x", "away")
	s.located(t, "x", "there")
	c, err := cluster.New(clients, cluster.WithRegistry(s.registry),
		cluster.WithTLSConfig(s.ca.Mutual(t, "here")), cluster.WithNode("here", "https://127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	browse(t, c).says(t, "http://x/", "away: GET / ")
}

// In TestTransportReplays the session of a client here ends just before a request is sent, and
// the client is elsewhere then. A request whose body can be sent again reaches it.
func TestTransportReplays(t *testing.T) {
	s := newSite(t)
	here, there := s.replica(t, "here"), s.replica(t, "there")
	there.web(t, "x", "away")
	s.located(t, "x", "there")
	send := func(again bool) (*tracked, *http.Response, error) {
		lis := here.web(t, "x", "here")
		var once sync.Once
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GetConn: func(string) {
			once.Do(func() { here.disconnect(t, "x", lis) })
		}})
		body := &tracked{Reader: strings.NewReader("body")}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://x/", body)
		if err != nil {
			t.Fatal(err)
		}
		if again {
			r.GetBody = func() (io.ReadCloser, error) { return &tracked{Reader: strings.NewReader("body")}, nil }
		}
		answer, err := browse(t, here.Cluster).Do(r)
		return body, answer, err
	}
	_, answer, err := send(true)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if want := "away: POST / body"; string(got) != want || err != nil {
		t.Errorf("the answer is %q, %v, want %q", got, err, want)
	}
	body, _, err := send(false)
	if _, ok := errors.AsType[*fleet.NotConnectedError](err); !ok && !errors.Is(err, transport.ErrClientGone) {
		t.Errorf("%v, want that the client is gone", err)
	}
	if !body.closed.Load() {
		t.Error("the body is not closed")
	}
}

// In TestTransportBounds a request to a client that accepts nothing ends with its ctx.
func TestTransportBounds(t *testing.T) {
	s := newSite(t)
	a := s.replica(t, "a")
	a.full(t, "x")
	s.located(t, "x", "a")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://x/", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := browse(t, s.service(t, "c"))
	if answer, err := client.Do(r); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, %v, want the error of ctx", answer, err)
	}
}
