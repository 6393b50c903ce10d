package harness

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/backdial/backdial/carrier/webtransport"
)

var certificate, roots = func() (tls.Certificate, *x509.CertPool) {
	c, err := webtransport.SelfSigned(loopback)
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(c.Leaf)
	return c, roots
}()

// ServerTLS is the configuration of all servers: TLS 1.3, for 127.0.0.1 wherever they are.
func ServerTLS() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13}
}

// ClientTLS trusts the server of ServerTLS.
func ClientTLS() *tls.Config {
	return &tls.Config{RootCAs: roots, ServerName: loopback, MinVersion: tls.VersionTLS13}
}
