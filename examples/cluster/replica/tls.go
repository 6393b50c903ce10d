package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// loadTLS returns the configuration with which replicas authenticate each other.
func loadTLS(c config) (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return nil, fmt.Errorf("the certificate of this replica (-cert, -key): %w", err)
	}
	roots, err := loadRoots(c.ca)
	if err != nil {
		return nil, fmt.Errorf("the authority of replicas (-ca): %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: roots}, nil
}

func loadRoots(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: there is no certificate in PEM", file)
	}
	return roots, nil
}
