// Package authority issues certificates to the members of a cluster: replicas, and
// services that dial through them. It writes PEM files.
package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	authorityValidity = 10 * 365 * 24 * time.Hour

	// Validity is how long a certificate is valid. To use a new one, restart the replica.
	Validity = 365 * 24 * time.Hour

	// clockSkew is how far a clock may be behind the authority's.
	clockSkew = time.Hour
)

// An Authority issues certificates. Anybody who has its key can pose as any replica.
type Authority struct {
	dir         string
	certificate *x509.Certificate
	key         crypto.Signer
}

// Create makes an authority that lives as long as the process: it writes dir/ca.pem, and
// its key nowhere.
func Create(dir string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "cluster"},
		NotAfter:              time.Now().Add(authorityValidity),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	a := &Authority{dir: dir, certificate: template, key: key}
	der, err := a.sign(template, key)
	if err != nil {
		return nil, err
	}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	return a, write(a.file("ca.pem"), "CERTIFICATE", der)
}

// Open returns the authority in dir/ca.pem and dir/ca-key.pem, and makes these files if
// neither exists.
func Open(dir string) (*Authority, error) {
	_, err := os.Stat(filepath.Join(dir, "ca.pem"))
	if errors.Is(err, fs.ErrNotExist) {
		a, err := Create(dir)
		if err != nil {
			return nil, err
		}
		return a, a.writeKey("ca", a.key)
	}
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca-key.pem"))
	if err != nil {
		return nil, fmt.Errorf("authority: read the authority's files: %w", err)
	}
	return &Authority{dir: dir, certificate: pair.Leaf, key: pair.PrivateKey.(crypto.Signer)}, nil
}

// Replica issues a certificate for a replica, as server and client, in dir/name.pem and
// dir/name-key.pem. hosts are the names or addresses of its embedded NATS server. Other
// replicas connect to the replica itself by its name.
func (a *Authority) Replica(name string, hosts ...string) error {
	template := &x509.Certificate{
		DNSNames:    []string{name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return a.issue(name, template)
}

// Service issues a certificate for a service in dir/name.pem and dir/name-key.pem. The
// service dials through replicas and cannot pose as one.
func (a *Authority) Service(name string) error {
	return a.issue(name, &x509.Certificate{
		DNSNames:    []string{name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

func (a *Authority) issue(name string, template *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("authority: %w", err)
	}
	template.Subject = pkix.Name{CommonName: name}
	template.NotAfter = time.Now().Add(Validity)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := a.sign(template, key)
	if err != nil {
		return err
	}
	if err := write(a.file(name+".pem"), "CERTIFICATE", der); err != nil {
		return err
	}
	return a.writeKey(name, key)
}

func (a *Authority) sign(template *x509.Certificate, key crypto.Signer) ([]byte, error) {
	template.NotBefore = time.Now().Add(-clockSkew)
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("authority: certify %q: %w", template.Subject.CommonName, err)
	}
	return der, nil
}

func (a *Authority) file(name string) string { return filepath.Join(a.dir, name) }

func (a *Authority) writeKey(name string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("authority: %w", err)
	}
	return write(a.file(name+"-key.pem"), "PRIVATE KEY", der)
}

// write writes a file that only its owner may read.
func write(file, kind string, der []byte) error {
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		return fmt.Errorf("authority: %w", err)
	}
	return nil
}
