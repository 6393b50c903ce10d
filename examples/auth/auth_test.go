package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testcert"
	"github.com/backdial/backdial/transport"
)

// TestMain runs the program if the test has started the process as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "-serve" || os.Args[1] == "-connect") {
		main()
		return
	}
	os.Exit(m.Run())
}

// A world is a site that listens, with a certificate that only its devices and users trust.
type world struct {
	*site
	*httptest.Server
	trust  *tls.Config
	tokens atomic.Int32 // that devices have got
}

func newWorld(t *testing.T, maxAge time.Duration) *world {
	t.Helper()
	w := &world{site: newSite(maxAge)}
	w.Server = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			w.tokens.Add(1)
		}
		w.site.ServeHTTP(rw, r)
	}))
	w.trust = &tls.Config{RootCAs: w.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	t.Cleanup(func() {
		w.site.server.Close()
		w.CloseClientConnections()
		w.Server.Close()
	})
	return w
}

func (w *world) device(id, secret string) *device {
	return &device{url: w.URL, id: id, secret: secret, trust: w.trust}
}

// listen connects an enrolled device, which serves until t is done.
func (w *world) listen(t *testing.T, id string) *transport.Listener {
	t.Helper()
	d := w.device(id, w.enroll(id))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	lis, err := d.listen(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	go d.serve(lis)
	return lis
}

// try connects a device once, with a header of its own.
func (w *world) try(t *testing.T, header http.Header) error {
	lis, err := transport.DialAndListenContext(t.Context(), w.URL+"/connect", header, transport.WithTLSConfig(w.trust))
	if err == nil {
		lis.Close()
	}
	return err
}

func (w *world) get(t *testing.T, path, token string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Cookie", "session=secret")
	answer, err := w.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(all)
}

// TestUsers expects users to reach their own devices only, and devices not to learn what
// authenticates users.
func TestUsers(t *testing.T) {
	leak.Check(t)
	w := newWorld(t, time.Hour)
	w.listen(t, "kitchen")
	w.listen(t, "garage")
	anna := w.login("anna", "kitchen")
	if status, page := w.get(t, "/devices/kitchen/x", anna); status != 200 || !strings.HasPrefix(page, "This is the kitchen.\nGET /x ") ||
		strings.Contains(page, "Bearer") || strings.Contains(page, "Cookie") {
		t.Errorf("%d %q", status, page)
	}
	old := sign(w.key, claims{Subject: "anna", Audience: forUsers, Devices: []string{"kitchen"}, Expires: time.Now()})
	_, forger := newSite(0), newSite(0).login("anna", "kitchen")
	asDevice, err := w.device("kitchen", w.enroll("kitchen")).token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]map[string]int{
		"/devices/kitchen/":              {"": 401, old: 401, forger: 401, asDevice: 401, anna + "x": 401, "." + anna: 401},
		"/devices/garage/":               {"": 401, anna: 403},
		"/devices/kitchen/../garage/":    {anna: 403},
		"/devices/kitchen%2f..%2fgarage": {anna: 403},
		"/devices/kitche%6e/":            {anna: 404}, // which is no ID
	} {
		for token, want := range want {
			if status, _ := w.get(t, path, token); status != want {
				t.Errorf("%s with %q: %d, want %d", path, token, status, want)
			}
		}
	}
}

// TestDevices expects devices to connect with a token of theirs, and with nothing else.
func TestDevices(t *testing.T) {
	leak.Check(t)
	w := newWorld(t, time.Hour)
	kitchen := w.device("kitchen", w.enroll("kitchen"))
	token, err := kitchen.token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// It has the ID that is in the token, whatever it says.
	lis, err := transport.DialAndListenContext(t.Context(), w.URL+"/connect", http.Header{"Authorization": {"Bearer " + token}, "DeviceId": {"garage"}},
		transport.WithTLSConfig(w.trust))
	if err != nil {
		t.Fatal("a good token:", err)
	}
	defer lis.Close()
	await.Until(t, "the device", func() bool { return w.devices.Len() > 0 })
	for id := range w.devices.All() {
		if id != "kitchen" {
			t.Errorf("the kitchen is taken for %q", id)
		}
	}
	for name, token := range map[string]string{
		"none":                     "",
		"one that has expired":     sign(w.key, claims{Subject: "kitchen", Audience: forDevices, Expires: time.Now()}),
		"one of a user":            w.login("kitchen"),
		"one of another site":      sign(newSite(0).key, claims{Subject: "kitchen", Audience: forDevices, Expires: time.Now().Add(time.Hour)}),
		"one with another payload": token[:10] + "x" + token[11:],
	} {
		err := w.try(t, http.Header{"Authorization": {"Bearer " + token}, "DeviceId": {"kitchen"}})
		rejected, ok := errors.AsType[*carrier.RejectedError](err)
		if !ok || rejected.StatusCode != 401 || rejected.Final() || rejected.Header.Get("Retry-After") != "1" {
			t.Errorf("%s: %v, want 401, and Retry-After", name, err)
		}
	}
	for id, secret := range map[string]string{"kitchen": "guess", "cellar": kitchen.secret, "": ""} {
		if _, err := w.device(id, secret).token(t.Context()); err == nil {
			t.Errorf("a token for %q with the secret %q", id, secret)
		}
	}
	unknown := sign(w.key, claims{Subject: "cellar", Audience: forDevices, Expires: time.Now().Add(time.Hour)})
	if err := w.try(t, http.Header{"Authorization": {"Bearer " + unknown}}); err == nil || transport.Retryable(err) {
		t.Errorf("a device that was never made: %v, want 403, for good", err)
	}
}

// TestServerIsAuthenticated expects a device to authenticate the server before it sends
// its secret.
func TestServerIsAuthenticated(t *testing.T) {
	leak.Check(t)
	w := newWorld(t, time.Hour)
	kitchen := w.device("kitchen", w.enroll("kitchen"))
	kitchen.trust = &tls.Config{RootCAs: testcert.NewCA(t).Pool()}
	if _, err := kitchen.token(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") || w.tokens.Load() > 0 {
		t.Errorf("a server of another's: %v", err)
	}
}

// TestRenewal replaces a session, with another token. No request fails.
func TestRenewal(t *testing.T) {
	leak.Check(t)
	w := newWorld(t, 5*time.Second)
	lis := w.listen(t, "kitchen")
	anna, first := w.login("anna", "kitchen"), lis.Info().Session
	await.Until(t, "another session", func() bool {
		if status, body := w.get(t, "/devices/kitchen/", anna); status != 200 {
			t.Errorf("%d %q", status, body)
		}
		return lis.Info().Session != first
	})
	if n := w.tokens.Load(); n != 2 {
		t.Errorf("%d tokens for 2 sessions", n)
	}
}

// In TestExpiredToken a device has a token that has expired, and comes back.
func TestExpiredToken(t *testing.T) {
	leak.Check(t)
	w := newWorld(t, time.Hour)
	d := w.device("kitchen", w.enroll("kitchen"))
	tries := 0
	lis, err := d.listen(t.Context(), transport.WithHeaderFunc(func(ctx context.Context) (http.Header, error) {
		if tries++; tries == 1 {
			return http.Header{"Authorization": {"Bearer " + sign(w.key, claims{Subject: "kitchen", Audience: forDevices})}}, nil
		}
		return d.header(ctx)
	}), transport.WithReconnect(transport.Backoff{Min: time.Millisecond, Max: time.Millisecond, MaxRefused: time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	lis.Close()
	if tries != 2 {
		t.Errorf("%d attempts, want 2", tries)
	}
}

// In TestRevoked a device loses its session, and is sent away for good.
func TestRevoked(t *testing.T) {
	leak.Check(t)
	w := newWorld(t, time.Hour)
	lis := w.listen(t, "kitchen")
	w.listen(t, "garage")
	d, err := w.devices.Wait(t.Context(), "kitchen")
	if err != nil {
		t.Fatal(err)
	}
	w.revoke("kitchen")
	await.From(t, "the end of the session", d.Done())
	if got := transport.EndReasonOf(d.Err()); got != transport.EndKicked {
		t.Errorf("its session: %q, %v", got, d.Err())
	}
	await.From(t, "the end of the listener", lis.Done())
	rejected, ok := errors.AsType[*carrier.RejectedError](lis.Err())
	if !ok || rejected.StatusCode != 403 || !rejected.Final() {
		t.Errorf("its listener: %v, want 403, for good", lis.Err())
	}
	if status, _ := w.get(t, "/devices/garage/", w.login("anna", "garage")); status != 200 {
		t.Errorf("another device answers %d", status)
	}
}

// TestShow runs the program without arguments.
func TestShow(t *testing.T) {
	leak.Check(t)
	if err := show(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestProcesses runs the server and a device in processes of their own.
func TestProcesses(t *testing.T) {
	ca := testcert.NewCA(t)
	cert, key := testcert.Files(t, ca.Issue(t, "127.0.0.1"))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	out := start(t, "-serve", addr, "-cert", cert, "-key", key)
	kitchen, _ := out.ReadString('\n')
	out.ReadString('\n') // the garage
	curl, err := out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	start(t, append([]string{"-connect", "https://" + addr, "-ca", filepath.Clean(ca.File(t))}, strings.Fields(kitchen)...)...)
	_, token, _ := strings.Cut(curl, "Bearer ")
	token, _, _ = strings.Cut(token, "'")
	conns := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}}
	defer conns.CloseIdleConnections()
	await.Until(t, "the kitchen's page", func() bool {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+addr+"/devices/kitchen/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := conns.RoundTrip(r)
		if err != nil { // the server does not listen yet
			return false
		}
		defer answer.Body.Close()
		page, _ := io.ReadAll(answer.Body)
		return answer.StatusCode == 200 && strings.HasPrefix(string(page), "This is the kitchen.")
	})
}

// start starts the program in a process, until t is done, and returns what it prints.
func start(t *testing.T, args ...string) *bufio.Reader {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return bufio.NewReader(out)
}

// TestCommand runs the documented command.
func TestCommand(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "run", ".", "-h")
	if out, _ := cmd.CombinedOutput(); !strings.Contains(string(out), "-connect URL") {
		t.Errorf("%s", out)
	}
}
