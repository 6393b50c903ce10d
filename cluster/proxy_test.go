package cluster_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/fleet"
)

// In TestReverseProxy one replica serves the pages of clients of both.
func TestReverseProxy(t *testing.T) {
	s := newSite(t)
	a, b := s.replica(t, "a"), s.replica(t, "b")
	a.serves(t, "1", "here")
	b.serves(t, "2", "there")
	reach := a.Transport()
	t.Cleanup(reach.CloseIdleConnections)
	web := httptest.NewServer(&fleet.ReverseProxy{Transport: reach})
	t.Cleanup(web.Close)
	for path, want := range map[string]struct {
		status int
		body   string
	}{
		"/1/":   {http.StatusOK, "here"},
		"/2/":   {http.StatusOK, "there"},
		"/3/":   {http.StatusServiceUnavailable, "503 Service Unavailable: client \"3\" is not connected\n"},
		"/a b/": {http.StatusNotFound, "404 Not Found: there is no such client\n"},
	} {
		answer, err := web.Client().Get(web.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != want.status || string(body) != want.body || err != nil {
			t.Errorf("%s: %d %q, %v, want %d %q", path, answer.StatusCode, body, err, want.status, want.body)
		}
	}
	b.Close()
	_, err := (&http.Client{Transport: reach}).Get("http://2/")
	if _, ok := errors.AsType[*fleet.NotConnectedError](err); !ok || !errors.Is(err, cluster.ErrNotConnected) {
		t.Errorf("a client of a replica that is closed: %v, want ErrNotConnected", err)
	}
}

// serves connects a client that serves a page.
func (r *replica) serves(t *testing.T, id, page string) {
	t.Helper()
	lis := r.listens(t, id)
	go http.Serve(lis, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, page) }))
}

// In TestReverseProxyBoundsAnswers clients of both replicas send endless headers before an
// answer's body.
func TestReverseProxyBoundsAnswers(t *testing.T) {
	s := newSite(t)
	a, b := s.replica(t, "a"), s.replica(t, "b")
	reach := a.Transport()
	t.Cleanup(reach.CloseIdleConnections)
	web := httptest.NewServer(&fleet.ReverseProxy{Transport: reach})
	t.Cleanup(web.Close)
	hints := "HTTP/1.1 103 Early Hints\r\n" + strings.Repeat("a:\n", 5000) + "\r\n"
	a.answers(t, "1", "HTTP/1.1 200 OK\r\n"+strings.Repeat("a:\n", 50_000))
	b.answers(t, "2", "HTTP/1.1 200 OK\r\n"+strings.Repeat("a:\n", 50_000))
	a.answers(t, "3", strings.Repeat(hints, 50)+"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	b.answers(t, "4", strings.Repeat(hints, 50)+"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	for _, id := range []string{"1", "2", "3", "4"} {
		answer, err := web.Client().Get(web.URL + "/" + id + "/")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusBadGateway {
			t.Errorf("client %s: status %d, want 502", id, answer.StatusCode)
		}
	}
}

// answers connects a client that answers the first request with a text, and then nothing.
func (r *replica) answers(t *testing.T, id, answer string) {
	t.Helper()
	lis := r.listens(t, id)
	go func() { // ends with lis
		conn, err := lis.Accept()
		if err != nil {
			return
		}
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			io.WriteString(conn, answer)
			io.Copy(io.Discard, conn)
		}
		conn.Close()
	}()
}
