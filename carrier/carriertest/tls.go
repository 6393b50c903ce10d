package carriertest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/test/testcert"
)

// otherHost is a name that is not in the servers' certificates.
const otherHost = "other.test"

// errPin is the error of a client that has seen the certificate and refuses it.
var errPin = errors.New("not the pinned certificate")

// needTLS skips t for a carrier without TLS.
func needTLS(t *testing.T, target Target) {
	t.Helper()
	if !target.TLS {
		t.Skip("the target has no TLS")
	}
}

func verifiesServer(t *testing.T, target Target) {
	needTLS(t, target)
	ca, unknown := testcert.NewCA(t), testcert.NewCA(t)
	trusted := ca.Issue(t, hosts...)
	for _, test := range []struct {
		name        string
		certificate tls.Certificate
		client      *tls.Config
		connects    bool
	}{
		{"Trusted", trusted, &tls.Config{RootCAs: ca.Pool()}, true},
		{"NameInSettings", ca.Issue(t, otherHost), &tls.Config{RootCAs: ca.Pool(), ServerName: otherHost}, true},
		{"UnknownAuthority", unknown.Issue(t, hosts...), &tls.Config{RootCAs: ca.Pool()}, false},
		{"DefaultAuthorities", trusted, nil, false},
		{"WrongName", ca.Issue(t, otherHost), &tls.Config{RootCAs: ca.Pool()}, false},
		{"WrongNameInSettings", trusted, &tls.Config{RootCAs: ca.Pool(), ServerName: otherHost}, false},
		{"ClientCertificate", ca.IssueFor(t, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, hosts...), &tls.Config{RootCAs: ca.Pool()}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := dialTLS(t, target, test.certificate, test.client)
			if test.connects && err != nil {
				t.Errorf("Dial: %v", err)
			}
			if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !test.connects && !ok {
				t.Errorf("Dial returned %v, want a tls.CertificateVerificationError", err)
			}
		})
	}
	t.Run("VerifyConnection", func(t *testing.T) {
		client := &tls.Config{RootCAs: ca.Pool(), VerifyConnection: func(tls.ConnectionState) error { return errPin }}
		if err := dialTLS(t, target, trusted, client); !errors.Is(err, errPin) {
			t.Errorf("Dial returned %v, want the error of VerifyConnection", err)
		}
	})
}

// dialTLS dials a server with a certificate, and returns the error of Dial. It fails t if
// Dial failed although the server has seen the request, or if a client's socket stays
// open.
func dialTLS(t *testing.T, target Target, certificate tls.Certificate, client *tls.Config) error {
	t.Helper()
	var requests atomic.Int32
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	s := serveTLS(t, target, config, client, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		welcome(target)(w, r)
	})
	tap := tapped(t, s)
	err := s.try(t.Context())
	tap.wantHungUp(t)
	if err != nil && requests.Load() > 0 {
		t.Error("a server that Dial does not trust has seen the request")
	}
	return err
}

func presentsCertificate(t *testing.T, target Target) {
	needTLS(t, target)
	ca := testcert.NewCA(t)
	own := ca.Issue(t, "device")
	for _, test := range []struct {
		name   string
		client *tls.Config
	}{
		{"Certificates", &tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{own}}},
		{"GetClientCertificate", &tls.Config{
			RootCAs:              ca.Pool(),
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil },
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			states := make(chan *tls.ConnectionState, enough)
			s := serveMutual(t, target, ca, test.client, states)
			if err := s.try(t.Context()); err != nil {
				t.Fatalf("Dial of a server that requires a client certificate: %v", err)
			}
			state := receive(t, "the request", states)
			if state == nil || len(state.PeerCertificates) == 0 || !state.PeerCertificates[0].Equal(own.Leaf) {
				t.Error("the request's TLS does not have the client's certificate")
			}
		})
	}
	t.Run("None", func(t *testing.T) {
		s := serveMutual(t, target, ca, &tls.Config{RootCAs: ca.Pool()}, make(chan *tls.ConnectionState, enough))
		err := s.try(t.Context())
		if _, ok := errors.AsType[*carrier.RejectedError](err); ok || err == nil {
			t.Errorf("Dial without the client certificate that the server requires returned %v, want an error of TLS", err)
		}
	})
}

// serveMutual starts a server that requires a client certificate, and sends the TLS state
// of its requests to states.
func serveMutual(t *testing.T, target Target, ca *testcert.CA, client *tls.Config, states chan<- *tls.ConnectionState) *server {
	t.Helper()
	config := &tls.Config{
		Certificates: []tls.Certificate{ca.Issue(t, hosts...)},
		ClientCAs:    ca.Pool(),
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}
	return serveTLS(t, target, config, client, func(w http.ResponseWriter, r *http.Request) {
		states <- r.TLS
		welcome(target)(w, r)
	})
}
