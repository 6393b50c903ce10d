package natsregistry_test

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/cluster/natsregistry"
	"github.com/backdial/backdial/internal/await"
	"github.com/backdial/backdial/internal/leak"
	"github.com/backdial/backdial/internal/testlog"
)

// documented runs a server with the configuration that the documentation has.
func documented(t *testing.T) (url string) {
	t.Helper()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var config strings.Builder
	for line := range strings.Lines(string(doc)) {
		code, ok := strings.CutPrefix(line, "//\t")
		if ok && (config.Len() > 0 || strings.HasPrefix(code, "authorization")) {
			config.WriteString(code)
		}
	}
	t.Setenv("REPLICA_PASSWORD", "of-the-replicas")
	t.Setenv("WEB_PASSWORD", "of-the-web")
	name := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(name, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(options.Users) != 2 {
		t.Fatalf("%d users are documented, want 2", len(options.Users))
	}
	return "nats://" + serve(t, *options).Addr().String()
}

var (
	asReplica = []nats.Option{nats.UserInfo("replica", "of-the-replicas"), nats.CustomInboxPrefix("_INBOX.replica")}
	asWeb     = []nats.Option{nats.UserInfo("web", "of-the-web"), nats.CustomInboxPrefix("_INBOX.web")}
)

// TestPermissions has a service that may only dial do so.
func TestPermissions(t *testing.T) {
	leak.Check(t)
	url := documented(t)
	first, second, web := connected(t, url, asReplica...), connected(t, url, asReplica...), connected(t, url, asWeb...)
	a, b := join(t, first), join(t, second)
	watched, err := web.Watch(t.Context(), "client0")
	if err != nil {
		t.Fatal(err)
	}
	a.attach("client", 1)
	for _, by := range []*natsregistry.Registry{first, second, web} {
		found(t, by, "client0", a)
	}
	receive(t, "a watcher", watched)
	b.attach("client", 1)
	receive(t, "a rival", a.rivals)
}

func receive(t *testing.T, what string, claims <-chan cluster.Claim) {
	t.Helper()
	select {
	case <-claims:
	case <-time.After(patience):
		t.Fatalf("%s: no claim after %v", what, patience)
	}
}

// TestImpersonation has a service that may only dial try to hold a client.
func TestImpersonation(t *testing.T) {
	leak.Check(t)
	url := documented(t)
	replica := connected(t, url, asReplica...)
	var log testlog.Log
	web, err := natsregistry.Connect(url, natsregistry.Config{Options: asWeb, Logger: log.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	h := join(t, web)
	h.attach("client", 1)
	await.Until(t, "a complaint", func() bool { return log.Has("Permissions Violation") })
	for range 10 {
		nobody(t, replica, "client0")
	}
	if n := h.asked.Load(); n != 0 {
		t.Errorf("the impostor was asked %d times", n)
	}
}

// TestForbidden has a service that may only dial try all that it may not.
func TestForbidden(t *testing.T) {
	leak.Check(t)
	nc, err := nats.Connect(documented(t), append(asWeb, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))...)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	subscribe := func(subject string) error { _, err := nc.SubscribeSync(subject); return err }
	publish := func(subject string) error { return nc.Publish(subject, []byte("forged")) }
	for _, test := range []struct {
		name    string
		do      func(subject string) error
		subject string
	}{
		{"claim a client", subscribe, "backdial.locate." + encoded("client0")},
		{"claim all", subscribe, "backdial.locate.*"},
		{"hear what replicas are told", subscribe, "backdial.node.*"},
		{"hear all", subscribe, ">"},
		{"read answers to others", subscribe, "_INBOX.>"},
		{"read answers to replicas", subscribe, "_INBOX.replica.>"},
		{"answer a replica", publish, "_INBOX.replica.x.locate.1"},
		{"announce a client", publish, "backdial.attached." + encoded("client0")},
		{"make a replica doubt", publish, "backdial.node." + encoded("run")},
	} {
		err := test.do(test.subject)
		if err == nil {
			err = nc.Flush()
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.LastError(); !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), `"`+test.subject+`"`) {
			t.Errorf("%s: error %v, want nats.ErrPermissionViolation", test.name, err)
		}
	}
}

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// TestWrongInbox has a service that has not set its inbox prefix, and may not read answers.
func TestWrongInbox(t *testing.T) {
	leak.Check(t)
	r := connected(t, documented(t), nats.UserInfo("web", "of-the-web"))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := r.Locate(ctx, "client0")
	if !errors.Is(err, cluster.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) ||
		!errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), "_INBOX.") {
		t.Errorf("Locate returned %v, want the error of ctx, and that the inbox is refused", err)
	}
}

// TestLentPermissions asks a replica to send its answer where who asks may not.
func TestLentPermissions(t *testing.T) {
	leak.Check(t)
	url := documented(t)
	first, second := connected(t, url, asReplica...), connected(t, url, asReplica...)
	a, b := join(t, first), join(t, second)
	a.attach("client", 1)
	found(t, second, "client0", a)
	b.attach("client", 1)
	receive(t, "a rival", a.rivals)
	nc, err := nats.Connect(url, asWeb...)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	watched, err := second.Watch(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"node." + encoded(a.node.Run), "node." + encoded(b.node.Run), "attached." + encoded("other")} {
		if err := nc.PublishRequest("backdial.locate."+encoded("client0"), "backdial."+to, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := nc.Request("backdial.locate."+encoded("client0"), nil, patience); err != nil {
		t.Fatal(err)
	}
	select {
	case c := <-a.rivals:
		t.Errorf("a holder was told of %+v", c)
	case c := <-b.rivals:
		t.Errorf("a holder was told of %+v", c)
	case c := <-watched:
		t.Errorf("a watcher was told of %+v", c)
	case <-time.After(quiet):
	}
}

// TestAnonymous has someone connect whom the engine does not know.
func TestAnonymous(t *testing.T) {
	leak.Check(t)
	url := documented(t)
	r := connect(t, url)
	await.Until(t, "a refusal", func() bool {
		_, err := r.Locate(t.Context(), "client0")
		return errors.Is(err, cluster.ErrUnavailable) && errors.Is(err, nats.ErrAuthorization)
	})
	if r.Connected() {
		t.Error("the engine accepts who does not say who it is")
	}
}
