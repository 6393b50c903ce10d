package webtransport_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/carrier/webtransport"
)

func TestSelfSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where it is the year 2000
		certificate, err := webtransport.SelfSigned("device.example", "192.0.2.1", "2001:db8::1")
		if err != nil {
			t.Fatal(err)
		}
		leaf := certificate.Leaf
		for _, host := range []string{"device.example", "192.0.2.1", "2001:db8::1"} {
			if err := leaf.VerifyHostname(host); err != nil {
				t.Error(err)
			}
		}
		// https://www.w3.org/TR/webtransport/#custom-certificate-requirements
		if key, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() || leaf.Version != 3 {
			t.Errorf("version %d with key %T, which browsers refuse", leaf.Version, leaf.PublicKey)
		}
		if valid := leaf.NotAfter.Sub(leaf.NotBefore); valid > 14*24*time.Hour || valid < 13*24*time.Hour {
			t.Errorf("valid for %v", valid)
		}
		if now := time.Now(); now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
			t.Errorf("valid from %v to %v, which is not now, %v", leaf.NotBefore, leaf.NotAfter, now)
		}
		if webtransport.CertificateHash(certificate) != sha256.Sum256(leaf.Raw) {
			t.Error("CertificateHash is not that of the leaf")
		}
	})
}
