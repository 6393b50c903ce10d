package cluster_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/internal/test/testcert"
)

var (
	forClients = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	forServers = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
)

// TestNewRefuses makes clusters that would not be safe, or could not be reached.
func TestNewRefuses(t *testing.T) {
	s := newSite(t)
	clients := fleet.New(fleet.ByHeader("DeviceId"))
	registry, node := cluster.WithRegistry(s.registry), cluster.WithNode("a", "https://127.0.0.1:1")
	secured := cluster.WithTLSConfig(s.ca.Mutual(t, "a"))
	with := func(change func(*tls.Config)) cluster.Option {
		config := s.ca.Mutual(t, "a")
		change(config)
		return cluster.WithTLSConfig(config)
	}
	at := func(url string) []cluster.Option {
		return []cluster.Option{registry, secured, cluster.WithNode("a", url)}
	}
	two := with(func(c *tls.Config) { c.Certificates = append(c.Certificates, c.Certificates...) })
	for name, bad := range map[string]struct {
		clients *fleet.Fleet
		opts    []cluster.Option
		want    string
	}{
		"neither clients nor registry": {nil, nil, "WithRegistry"},
		"no TLS":                       {clients, []cluster.Option{registry, node}, "WithTLSConfig"},
		"no TLS, service":              {nil, []cluster.Option{registry}, "WithTLSConfig"},
		"InsecureSkipVerify":           {clients, []cluster.Option{registry, node, with(func(c *tls.Config) { c.InsecureSkipVerify = true })}, "InsecureSkipVerify"},
		"no RootCAs":                   {clients, []cluster.Option{registry, node, with(func(c *tls.Config) { c.RootCAs = nil })}, "RootCAs"},
		"no certificate":               {nil, []cluster.Option{registry, with(func(c *tls.Config) { c.Certificates = nil })}, "certificate"},
		"no name":                      {clients, []cluster.Option{registry, secured}, "WithNode"},
		"no URL":                       {clients, at(""), "https://host:port"},
		"plain HTTP":                   {clients, at("http://127.0.0.1:1"), "https://host:port"},
		"no host":                      {clients, at("https:///path"), "https://host:port"},
		"no such URL":                  {clients, at("https://%zz"), "URL"},
		"a pin of one of two":          {clients, []cluster.Option{registry, node, two, cluster.WithKeyPin()}, "pin the key"},
	} {
		c, err := cluster.New(bad.clients, bad.opts...)
		if err == nil {
			c.Close()
			t.Errorf("%s: no error", name)
		} else if !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: %v, want %s", name, err, bad.want)
		}
	}
}

// In TestCertificates replicas and services show useless certificates.
func TestCertificates(t *testing.T) {
	s := newSite(t)
	honest := s.replica(t, "honest")
	honest.connect(t, "y", "y")
	s.located(t, "y", "honest")
	other := testcert.NewCA(t)
	for name, bad := range map[string]struct {
		certificate tls.Certificate
		asks, owns  string // what is wrong with that, or "" if nothing is
	}{
		"good":                 {s.ca.Issue(t, "a"), "", ""},
		"another authority":    {other.Issue(t, "a"), "certificate", "unknown authority"},
		"for a service":        {s.ca.IssueFor(t, forClients, "a"), "", "incompatible key usage"},
		"for a server":         {s.ca.IssueFor(t, forServers, "a"), "certificate", ""},
		"with another name":    {s.ca.Issue(t, "b"), "", "not a"},
		"without a name":       {s.ca.Issue(t), "", "not valid for any names"},
		"of a wildcard's name": {s.ca.Issue(t, "*.a"), "", "not a"},
	} {
		t.Run(name, func(t *testing.T) {
			config := s.ca.Mutual(t)
			config.Certificates = []tls.Certificate{bad.certificate}
			r := s.replica(t, "a", cluster.WithTLSConfig(config))
			lis := r.connect(t, "x", "x")
			s.located(t, "x", "a")
			checkDial(t, honest.Cluster, "x", bad.owns)
			checkDial(t, r.Cluster, "y", bad.asks)
			r.disconnect(t, "x", lis)
		})
	}
	t.Run("none", func(t *testing.T) {
		checkDial(t, s.service(t, "c", cluster.WithTLSConfig(s.anonymous(t))), "y", "certificate")
	})
}

// anonymous is the configuration of a client that shows no certificate.
func (s *site) anonymous(t *testing.T) *tls.Config {
	t.Helper()
	config := s.ca.Mutual(t)
	config.Certificates = nil
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return new(tls.Certificate), nil
	}
	return config
}

// In TestOldTLS each end speaks an older version.
func TestOldTLS(t *testing.T) {
	s := newSite(t)
	s.replica(t, "a").connect(t, "x", "x")
	s.located(t, "x", "a")
	old := s.ca.Mutual(t, "old", "127.0.0.1")
	old.MaxVersion = tls.VersionTLS12
	old.ServerName = "a"
	conn, err := tls.Dial("tcp", strings.TrimPrefix(s.node(t, "x").URL, "https://"), old)
	if err == nil {
		conn.Close()
		t.Error("a replica speaks TLS 1.2")
	}

	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = old
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	said := s.hearsay()
	said.claims(cluster.Node{Name: "old", Run: "old", URL: server.URL})
	checkDial(t, s.service(t, "c", cluster.WithRegistry(said)), "x", "version")
}

// checkDial expects a dial to succeed, or if wrong is not "", to fail with a PeerError that
// contains it.
func checkDial(t *testing.T, c *cluster.Cluster, id, wrong string) {
	t.Helper()
	if wrong == "" {
		reachesNow(t, c, id, id)
		return
	}
	conn, err := c.Dial(t.Context(), id)
	if _, isPeer := errors.AsType[*cluster.PeerError](err); !isPeer || !strings.Contains(err.Error(), wrong) {
		t.Errorf("%v, %v, want a PeerError with %q", conn, err, wrong)
	}
}

// In TestKeyPin a replica announces its key, and another with the same name takes its place.
func TestKeyPin(t *testing.T) {
	s := newSite(t)
	a := s.replica(t, "a", cluster.WithKeyPin())
	a.connect(t, "x", "x")
	impostor := s.replica(t, "a")
	impostor.connect(t, "y", "y")
	s.located(t, "x", "a")
	s.located(t, "y", "a")
	said := s.hearsay()
	c := s.service(t, "c", cluster.WithRegistry(said))
	reachesNow(t, c, "x", "x")
	claimed := s.node(t, "x")
	if len(claimed.Pin) != 32 {
		t.Fatalf("the claim has the pin %x", claimed.Pin)
	}
	claimed.URL, claimed.Run = s.node(t, "y").URL, "another"
	said.claims(claimed)
	checkDial(t, c, "y", "pinned")
}

// TestPinKeepsCheck expects the application's own check of certificates to run beside that of
// a pin.
func TestPinKeepsCheck(t *testing.T) {
	s := newSite(t)
	s.replica(t, "a", cluster.WithKeyPin()).connect(t, "x", "x")
	s.located(t, "x", "a")
	config := s.ca.Mutual(t, "c")
	config.VerifyConnection = func(tls.ConnectionState) error { return errors.New("revoked") }
	checkDial(t, s.service(t, "c", cluster.WithTLSConfig(config)), "x", "revoked")
}

// TestMounted serves replicas by an HTTP server of the application's.
func TestMounted(t *testing.T) {
	s := newSite(t)
	others := testcert.NewCA(t)
	for name, front := range map[string]struct {
		config *tls.Config
		by     *testcert.CA // the authority of the asker
		wrong  string
	}{
		"that verifies":        {&tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: s.ca.Pool()}, s.ca, ""},
		"that asks":            {&tls.Config{ClientAuth: tls.RequestClientCert}, s.ca, ""},
		"that takes any":       {&tls.Config{ClientAuth: tls.RequireAnyClientCert}, others, "403"},
		"that asks for none":   {&tls.Config{}, s.ca, "403"},
		"that trusts others":   {&tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: others.Pool()}, others, "403"},
		"that has no mistrust": {&tls.Config{ClientAuth: tls.RequestClientCert}, others, "403"},
	} {
		t.Run(name, func(t *testing.T) {
			var r *replica
			mounted := http.NewServeMux()
			mounted.HandleFunc("/replicas", func(w http.ResponseWriter, q *http.Request) { r.ServeHTTP(w, q) })
			web := httptest.NewUnstartedServer(mounted)
			web.TLS = front.config
			web.TLS.Certificates = []tls.Certificate{s.ca.Issue(t, "a")}
			web.StartTLS()
			defer web.Close()
			r = s.replicaAt(t, "a", listen(t), web.URL+"/replicas")
			r.connect(t, "x", "x")
			s.located(t, "x", "a")
			config := s.ca.Mutual(t)
			config.Certificates = []tls.Certificate{front.by.Issue(t, "c")}
			checkDial(t, s.service(t, "c", cluster.WithTLSConfig(config)), "x", front.wrong)
			r.Cluster.Close()
		})
	}
	t.Run("without TLS", func(t *testing.T) {
		r := s.replica(t, "a")
		answer := httptest.NewRecorder()
		ask := httptest.NewRequest(http.MethodGet, "/", nil)
		for name, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
			"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "backdial.v1.yamux"} {
			ask.Header.Set(name, value)
		}
		r.ServeHTTP(answer, ask)
		if answer.Code != http.StatusForbidden {
			t.Errorf("status %d, want 403", answer.Code)
		}
	})
}

// TestNobodyElse makes clusters that no other process can reach.
func TestNobodyElse(t *testing.T) {
	s := newSite(t)
	alone, err := cluster.New(fleet.New(fleet.ByHeader("DeviceId")), cluster.WithTLSConfig(&tls.Config{
		Certificates: []tls.Certificate{s.ca.Issue(t, "a")}, // and the system's authorities
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Close()
	for name, c := range map[string]*cluster.Cluster{"a single machine": alone, "a service": s.service(t, "c")} {
		if err := c.ListenAndServe("127.0.0.1:0"); err == nil || !strings.Contains(err.Error(), "not a replica") {
			t.Errorf("%s: ListenAndServe: %v", name, err)
		}
		if err := c.Serve(listen(t)); err == nil || !strings.Contains(err.Error(), "not a replica") {
			t.Errorf("%s: Serve: %v", name, err)
		}
		answer := httptest.NewRecorder()
		c.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil))
		if answer.Code != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", name, answer.Code)
		}
	}
}
