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

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/cluster/natsregistry"
)

// A site is an engine with the configuration that a document has, and how each of its
// users connects. The observer is not in the document, and may do everything.
type site struct {
	url                    string
	replica, web, observer []nats.Option
}

// sites make a site for each document that has a configuration.
var sites = map[string]func(*testing.T) site{"doc.go": documented, "cluster.md": page}

var (
	all        = &server.SubjectPermission{Allow: []string{">"}}
	observer   = server.User{Username: "observer", Password: "of-the-observer", Permissions: &server.Permissions{Publish: all, Subscribe: all}}
	asObserver = []nats.Option{nats.UserInfo(observer.Username, observer.Password)}
)

// asReplica returns a registry of a replica.
func (s site) asReplica(t *testing.T) *natsregistry.Registry {
	t.Helper()
	return connected(t, s.url, s.replica...)
}

// asWeb returns a registry of the service that may only dial.
func (s site) asWeb(t *testing.T) *natsregistry.Registry {
	t.Helper()
	r := connectAs(t, s.url, natsregistry.Config{User: "web", Options: s.web})
	backdialtest.Until(t, "Connected", r.Connected)
	return r
}

// connect returns a connection that is not of a registry, and is closed when t is done.
func (s site) connect(t *testing.T, as []nats.Option) *nats.Conn {
	t.Helper()
	silent := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
	nc, err := nats.Connect(s.url, append([]nats.Option{silent}, as...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// serveFile runs a server with the configuration in a file, and the observer.
func serveFile(t *testing.T, name string) *server.Server {
	t.Helper()
	options, err := server.ProcessConfigFile(name)
	if err != nil {
		t.Fatal(err)
	}
	options.Users = append(options.Users, &observer)
	return serve(t, *options)
}

// documented runs a server with the configuration that doc.go has.
func documented(t *testing.T) site {
	t.Helper()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var config strings.Builder
	for line := range strings.Lines(string(doc)) {
		code, ok := strings.CutPrefix(line, "//\t")
		if ok && (config.Len() > 0 || strings.HasPrefix(code, "max_payload")) {
			config.WriteString(code)
		}
	}
	t.Setenv("REPLICA_PASSWORD", "of-the-replicas")
	t.Setenv("WEB_PASSWORD", "of-the-web")
	name := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(name, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serveFile(t, name)
	return site{
		"nats://" + s.Addr().String(),
		[]nats.Option{nats.UserInfo("replica", "of-the-replicas")},
		[]nats.Option{nats.UserInfo("web", "of-the-web")},
		asObserver,
	}
}

// page runs a server with the configuration that docs/cluster.md has.
func page(t *testing.T) site {
	t.Helper()
	ca := backdialtest.NewCA(t)
	url := pageServer(t, ca)
	observer := append(certified(t, ca, observer.Username), asObserver...)
	return site{url, certified(t, ca, "replica-1", x509.ExtKeyUsageServerAuth), certified(t, ca, "web"), observer}
}

// certified returns options to connect with a certificate for client authentication, and
// for the purposes in also.
func certified(t *testing.T, ca *backdialtest.CA, name string, also ...x509.ExtKeyUsage) []nats.Option {
	t.Helper()
	certificate := ca.IssueFor(t, append(also, x509.ExtKeyUsageClientAuth), name)
	return []nats.Option{nats.Secure(&tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{certificate}})}
}

// pageServer runs a server with the configuration that docs/cluster.md has.
func pageServer(t *testing.T, ca *backdialtest.CA) (url string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/cluster.md")
	if err != nil {
		t.Fatal(err)
	}
	_, config, found := strings.Cut(string(page), "\n```\nport: 4222\n")
	config, _, ended := strings.Cut(config, "\n```\n")
	if !found || !ended {
		t.Fatal("docs/cluster.md has no configuration of a NATS server")
	}
	dir := t.TempDir()
	certFile, keyFile := backdialtest.CertFiles(t, ca.Issue(t, "nats-1", "127.0.0.1"))
	for file, name := range map[string]string{ca.File(t): "ca.pem", certFile: "nats-1.pem", keyFile: "nats-1-key.pem"} {
		if err := os.Rename(file, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "nats.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	return "tls://" + serveFile(t, "nats.conf").Addr().String()
}
