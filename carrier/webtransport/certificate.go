package webtransport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"time"
)

const (
	// maxValidity is the longest validity that the W3C's WebTransport specification allows
	// for a certificate that a page trusts by its hash.
	maxValidity = 14 * 24 * time.Hour

	// backdated is how much a client's clock may be slow.
	backdated = time.Hour
)

// SelfSigned makes a certificate for hosts, which are names or IP addresses. It is for
// tests, and for browsers on a network without a certificate authority. A client trusts
// it if its Leaf is among the roots of its [tls.Config]. A page trusts it by its
// [CertificateHash], in the serverCertificateHashes option of its WebTransport. For that
// the key is an ECDSA key on the curve P-256, and the certificate is valid for 14 days,
// the first hour of which has passed. A server that runs longer needs a new one in time.
func SelfSigned(hosts ...string) (tls.Certificate, error) {
	certificate, err := selfSigned(hosts)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("webtransport: make a certificate for %q: %w", hosts, err)
	}
	return certificate, nil
}

func selfSigned(hosts []string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return tls.Certificate{}, err
	}
	start := time.Now().Add(-backdated)
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "backdial"},
		NotBefore:    start,
		// Both ends of the period belong to it, and are in whole seconds.
		NotAfter:              start.Add(maxValidity - 2*time.Second),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// CertificateHash returns the SHA-256 hash of a non-empty certificate, as the
// serverCertificateHashes option of a browser's WebTransport takes it.
func CertificateHash(certificate tls.Certificate) [sha256.Size]byte {
	return sha256.Sum256(certificate.Certificate[0])
}
