// Package authority certifies those who belong to a cluster: replicas, and services that
// dial through them. It writes PEM files.
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

	// Validity is how long a certificate is valid. A replica that gets another has to be
	// started again.
	Validity = 365 * 24 * time.Hour

	// clockSkew is by how much a clock may be behind that of the authority.
	clockSkew = time.Hour
)

// An Authority certifies. Who has its key can pose as any replica.
type Authority struct {
	dir         string
	certificate *x509.Certificate
	key         crypto.Signer
}

// Create makes an authority that is gone with the process: it writes dir/ca.pem, and its
// key nowhere.
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

// Open returns the authority whose certificate and key are in dir/ca.pem and
// dir/ca-key.pem, after making both if there are none.
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
		return nil, fmt.Errorf("authority: read what certified before: %w", err)
	}
	return &Authority{dir: dir, certificate: pair.Leaf, key: pair.PrivateKey.(crypto.Signer)}, nil
}

// Replica certifies a replica, as server and client, in dir/name.pem and
// dir/name-key.pem. Hosts are names or addresses where others connect to its embedded
// NATS server; to the replica itself they connect by its name.
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

// Service certifies a service, which dials through replicas and cannot pose as one, in
// dir/name.pem and dir/name-key.pem.
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
