package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/cluster/natsserver"
	"github.com/backdial/backdial/transport"
)

// patience bounds what must happen, on a loaded machine.
const patience = 30 * time.Second

// TestReplicas runs two replicas that find each other, and a device that moves when its
// own is drained.
func TestReplicas(t *testing.T) {
	backdialtest.CheckLeaks(t)
	dir := certify(t)
	routes := []string{freeAddr(t), freeAddr(t)}
	embedded := func(i int) config {
		c := configOf(t, dir, i+1)
		c.routes, c.join = routes[i], strings.Join(routes, ",")
		return c
	}
	one, two := start(t, embedded(0)), start(t, embedded(1))
	testMove(t, one, two)
}

// TestExternal lets them find each other through a separate NATS server, which identifies
// them by their certificates.
func TestExternal(t *testing.T) {
	backdialtest.CheckLeaks(t)
	dir := certify(t)
	certificate, err := loadTLS(configOf(t, dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	server, err := natsserver.Start(natsserver.Config{Name: "nats", ClientAddr: "127.0.0.1:0", ClientTLS: &tls.Config{
		Certificates: certificate.Certificates, ClientCAs: certificate.RootCAs, ClientAuth: tls.RequireAndVerifyClientCert,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	external := func(i int) config {
		c := configOf(t, dir, i+1)
		c.nats = "tls://" + server.ClientAddr().String()
		return c
	}
	one, two := start(t, external(0)), start(t, external(1))
	testMove(t, one, two)
}

// testMove asks for a device through another replica than its own, which is drained while
// requests are under way.
func testMove(t *testing.T, one, two *replica) {
	t.Helper()
	var at atomic.Pointer[replica]
	at.Store(one)
	lis, err := transport.DialAndListen("", http.Header{"DeviceId": {"kiosk-1"}},
		transport.WithURLFunc(func(context.Context) (string, error) { return at.Load().url + "/connect", nil }),
		transport.WithReconnect(transport.Backoff{Min: 10 * time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	began, finish := make(chan bool), make(chan bool)
	pages := http.NewServeMux()
	pages.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "here") })
	pages.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		began <- true
		<-finish
		fmt.Fprint(w, "finished")
	})
	go http.Serve(lis, pages)
	for _, r := range []*replica{one, two} {
		if text, name := get(t, r.url+"/devices/kiosk-1/"); text != "here" || name != r.name {
			t.Errorf("%s: answer %q by %q", r.name, text, name)
		}
	}
	connectedTo := func() string { return lis.(*transport.Listener).Info().Server }
	if connectedTo() != one.name {
		t.Errorf("the device is connected to %q, want %q", connectedTo(), one.name)
	}

	at.Store(two)
	answers := make(chan string)
	for _, r := range []*replica{one, two} {
		go func() {
			text, _ := get(t, r.url+"/devices/kiosk-1/slow")
			answers <- text
		}()
		<-began
	}
	drained := make(chan error)
	go func() { drained <- one.stop() }()
	backdialtest.Until(t, "the device moves", func() bool { return connectedTo() == two.name })
	if text, _ := get(t, two.url+"/devices/kiosk-1/"); text != "here" {
		t.Errorf("answer %q", text)
	}
	close(finish)
	for range 2 {
		if text := <-answers; text != "finished" {
			t.Errorf("what was under way is answered %q", text)
		}
	}
	if err := <-drained; err != nil {
		t.Errorf("drained: %v", err)
	}
}

// TestServiceRoute makes a service try to be a NATS server of the cluster.
func TestServiceRoute(t *testing.T) {
	backdialtest.CheckLeaks(t)
	dir := certify(t)
	c := configOf(t, dir, 1)
	c.routes = freeAddr(t)
	var log backdialtest.Log
	startLogging(t, c, &log)
	for _, who := range []string{"service", "replica-2"} {
		c.cert, c.key = filepath.Join(dir, who+".pem"), filepath.Join(dir, who+"-key.pem")
		trust, err := loadTLS(c)
		if err != nil {
			t.Fatal(err)
		}
		s, err := natsserver.Start(natsserver.Config{
			Name: who, ClusterAddr: "127.0.0.1:0", Join: []string{c.routes}, TLS: trust,
		})
		if err != nil {
			t.Fatal(err)
		}
		if who == "service" {
			backdialtest.Until(t, "it is refused", func() bool { return log.Has("is not for a server") })
			if n := s.Routes(); n != 0 {
				t.Errorf("a service has %d routes", n)
			}
		} else {
			backdialtest.Until(t, "a route", func() bool { return s.Routes() == 1 })
		}
		s.Close()
	}
}

// TestErrors expects errors to name the wrong flag.
func TestErrors(t *testing.T) {
	backdialtest.CheckLeaks(t)
	dir := certify(t)
	for _, test := range []struct {
		want   string
		change func(*config)
	}{
		{"-cert", func(c *config) { c.cert = "" }},
		{"-ca", func(c *config) { c.ca = "none.pem" }},
		{"-ca", func(c *config) { c.ca = c.key }},
		{"-name", func(c *config) { c.name = "" }},
		{"-name", func(c *config) { c.name = "a/b" }},
		{"the URL of a replica", func(c *config) { c.url = "http://127.0.0.1" }},
		{"-routes", func(c *config) { c.routes = "127.0.0.1" }},
		{"-nats-ca", func(c *config) { c.nats, c.natsCA = "tls://127.0.0.1", "none.pem" }},
		{"creds", func(c *config) { c.nats, c.creds = "tls://127.0.0.1", "none.creds" }},
		{"listen", func(c *config) { c.listen = "127.0.0.1:none" }},
	} {
		c := configOf(t, dir, 1)
		c.routes = "127.0.0.1:0"
		test.change(&c)
		err := run(t.Context(), c, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %s", err, test.want)
		}
	}
}

// TestCommand runs the documented command.
func TestCommand(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "run", ".", "-h")
	if out, _ := cmd.CombinedOutput(); !strings.Contains(string(out), "-join") {
		t.Errorf("%s", out)
	}
}

// A running replica.
type replica struct {
	name, url string
	cancel    context.CancelFunc
	done      chan error
}

// start runs a replica until t is done, or stop is called before that.
func start(t *testing.T, c config) *replica {
	t.Helper()
	return startLogging(t, c, io.Discard)
}

// startLogging is start for a replica that writes its log to w.
func startLogging(t *testing.T, c config, w io.Writer) *replica {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &replica{c.name, "http://" + c.listen, cancel, make(chan error, 1)}
	go func() {
		r.done <- run(ctx, c, slog.New(slog.NewTextHandler(w, nil)))
		close(r.done)
	}()
	t.Cleanup(func() { r.stop() })
	backdialtest.Until(t, c.name+" is healthy", func() bool {
		select {
		case err := <-r.done:
			t.Fatalf("%s: %v", c.name, err)
		default:
		}
		answer, err := http.Get(r.url + "/healthz")
		if err == nil {
			answer.Body.Close()
		}
		return err == nil && answer.StatusCode == http.StatusOK
	})
	return r
}

// stop drains the replica, and returns the result of its run.
func (r *replica) stop() error {
	r.cancel()
	return <-r.done
}

// certify makes certificates for two replicas and a service, as docs/cluster.md says.
func certify(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "run", "github.com/backdial/backdial/examples/cluster/certs",
		"-dir", dir, "replica-1=127.0.0.1", "replica-2=127.0.0.1", "service")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

// configOf returns the configuration of replica-1 or replica-2, without its engine.
func configOf(t *testing.T, dir string, number int) config {
	t.Helper()
	name, peers := fmt.Sprint("replica-", number), freeAddr(t)
	return config{
		name: name, listen: freeAddr(t), peers: peers, url: "https://" + peers,
		ca: filepath.Join(dir, "ca.pem"), cert: filepath.Join(dir, name+".pem"), key: filepath.Join(dir, name+"-key.pem"),
		spread: 100 * time.Millisecond, drain: patience,
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// get returns a page, and the replica that has served it.
func get(t *testing.T, url string) (text, replica string) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Error(err)
		return "", ""
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Error(err)
	}
	return string(body), answer.Header.Get("Replica")
}
