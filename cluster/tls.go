package cluster

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"

	"github.com/backdial/backdial/redact"
)

// checkTLS returns an error unless replicas can know each other by config.
func checkTLS(config *tls.Config) error {
	switch {
	case config == nil:
		return errors.New("no TLS configuration: replicas know each other by certificates (WithTLSConfig)")
	case config.InsecureSkipVerify:
		return errors.New("TLS configuration: InsecureSkipVerify is set, but replicas must verify certificates")
	case config.RootCAs == nil:
		return errors.New("TLS configuration: no RootCAs: set the authority that certifies replicas, and nobody else")
	case len(config.Certificates) == 0 && config.GetCertificate == nil && config.GetClientCertificate == nil:
		return errors.New("TLS configuration: no certificate")
	}
	return nil
}

// askerTLS returns the configuration of a connection to a node.
func askerTLS(config *tls.Config, node Node) *tls.Config {
	c := config.Clone()
	c.MinVersion = tls.VersionTLS13
	c.ServerName = node.Name
	if node.Pin == nil {
		return c
	}
	verify := c.VerifyConnection
	c.VerifyConnection = func(state tls.ConnectionState) error {
		if pin := pinOf(state.PeerCertificates[0]); !bytes.Equal(pin, node.Pin) {
			return fmt.Errorf("the key of %s has the SHA-256 %x, not the pinned %x", redact.Quote(node.Name), pin, node.Pin)
		}
		if verify != nil {
			return verify(state)
		}
		return nil
	}
	return c
}

// ownerTLS returns the configuration of a replica that is asked.
func ownerTLS(config *tls.Config) *tls.Config {
	c := config.Clone()
	c.MinVersion = tls.VersionTLS13
	c.ClientAuth = tls.RequireAndVerifyClientCert
	if c.ClientCAs == nil {
		c.ClientCAs = c.RootCAs
	}
	c.GetConfigForClient = nil // it could let others in
	return c
}

// checkPeer refuses a peer without a certificate of the cluster. A server of the user's in
// front may not ask for one, or accept certificates of another authority.
func checkPeer(r *http.Request, config *tls.Config) error {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return errors.New("cluster: no certificate: the server in front needs tls.RequireAndVerifyClientCert")
	}
	chain := r.TLS.PeerCertificates
	options := x509.VerifyOptions{
		Roots:         config.ClientCAs,
		Intermediates: x509.NewCertPool(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if config.Time != nil {
		options.CurrentTime = config.Time()
	}
	for _, issuer := range chain[1:] {
		options.Intermediates.AddCert(issuer)
	}
	if _, err := chain[0].Verify(options); err != nil {
		return fmt.Errorf("cluster: the certificate of %s: %w", redact.Quote(chain[0].Subject.String()), redact.Error(err))
	}
	return nil
}

// pinOf returns the pin of a certificate's key.
func pinOf(certificate *x509.Certificate) []byte {
	sum := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
	return sum[:]
}

// ownCertificate returns the certificate of a replica, if there is only one.
func ownCertificate(config *tls.Config) (*x509.Certificate, error) {
	if len(config.Certificates) != 1 || config.GetCertificate != nil {
		return nil, errors.New("the TLS configuration must have exactly one certificate, in Certificates")
	}
	leaf, err := x509.ParseCertificate(config.Certificates[0].Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("the certificate: %w", err)
	}
	return leaf, nil
}

// checkName returns an error if others will not accept a replica's certificate for its name,
// as far as is known.
func checkName(config *tls.Config, name string) error {
	leaf, err := ownCertificate(config)
	if err != nil {
		return nil
	}
	return leaf.VerifyHostname(name)
}

// ownPin returns the pin of a replica's certificate.
func ownPin(config *tls.Config) ([]byte, error) {
	leaf, err := ownCertificate(config)
	if err != nil {
		return nil, fmt.Errorf("pin the key: %w", err)
	}
	return pinOf(leaf), nil
}
