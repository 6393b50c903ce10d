package natsregistry_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/backdial/backdial/cluster/natsregistry"
	"github.com/backdial/backdial/internal/await"
	"github.com/backdial/backdial/internal/leak"
	"github.com/backdial/backdial/internal/testcert"
	"github.com/backdial/backdial/internal/testlog"
)

// TestReadme has the README's NATS server, which knows replicas and a service by the names
// in their certificates. The service locates clients, and cannot claim any.
func TestReadme(t *testing.T) {
	leak.Check(t)
	ca := testcert.NewCA(t)
	url := readmeServer(t, ca)
	as := func(name string, purposes ...x509.ExtKeyUsage) []nats.Option {
		certificate := ca.IssueFor(t, purposes, name)
		return []nats.Option{nats.Secure(&tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{certificate}})}
	}
	client, both := x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth
	first, second := connected(t, url, as("replica-1", client, both)...), connected(t, url, as("replica-2", client, both)...)
	var log testlog.Log
	web, err := natsregistry.Connect(url, natsregistry.Config{
		Options: append(as("web", client), nats.CustomInboxPrefix("_INBOX.web")), Logger: log.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	await.Until(t, "Connected", web.Connected)
	a, b, impostor := join(t, first), join(t, second), join(t, web)
	watched, err := web.Watch(t.Context(), "client0")
	if err != nil {
		t.Fatal(err)
	}
	a.attach("client", 1)
	found(t, second, "client0", a)
	found(t, web, "client0", a)
	receive(t, "a watcher", watched)
	b.attach("client", 1)
	receive(t, "a rival", a.rivals)
	impostor.attach("other", 1)
	await.Until(t, "a complaint", func() bool { return log.Has("Permissions Violation") })
	nobody(t, first, "other0")
	for _, name := range []string{"replica-3", "nats-1"} {
		if r := connect(t, url, as(name, client)...); r.Connected() {
			t.Errorf("%s is let in, which is no user", name)
		}
	}
}

// readmeServer runs a server with the configuration that the README has.
func readmeServer(t *testing.T, ca *testcert.CA) (url string) {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, config, found := strings.Cut(string(readme), "\n```\nport: 4222\n")
	config, _, ended := strings.Cut(config, "\n```\n")
	if !found || !ended {
		t.Fatal("the README has no configuration of a NATS server")
	}
	dir := t.TempDir()
	certFile, keyFile := testcert.Files(t, ca.Issue(t, "nats-1", "127.0.0.1"))
	for file, name := range map[string]string{ca.File(t): "ca.pem", certFile: "nats-1.pem", keyFile: "nats-1-key.pem"} {
		if err := os.Rename(file, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "nats.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	options, err := server.ProcessConfigFile("nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	return "tls://" + serve(t, *options).Addr().String()
}
