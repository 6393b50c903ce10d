package testcert_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/backdial/backdial/internal/test/testcert"
)

// TestIssue uses a certificate on both ends of a connection.
func TestIssue(t *testing.T) {
	ca := testcert.NewCA(t)
	for _, name := range []string{"replica", "127.0.0.1", "::1"} {
		leaf := ca.Issue(t, "replica", "127.0.0.1", "::1").Leaf
		if err := leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	leaf := ca.Issue(t, "replica").Leaf
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		options := x509.VerifyOptions{Roots: ca.Pool(), KeyUsages: []x509.ExtKeyUsage{usage}}
		if _, err := leaf.Verify(options); err != nil {
			t.Error(err)
		}
		options.Roots = testcert.NewCA(t).Pool()
		if _, err := leaf.Verify(options); err == nil {
			t.Error("another authority trusts the certificate")
		}
	}
	if err := leaf.VerifyHostname("other"); err == nil {
		t.Error("the certificate is for a name that it was not issued for")
	}
}

// TestIssueFor uses a certificate for another purpose.
func TestIssueFor(t *testing.T) {
	ca := testcert.NewCA(t)
	leaf := ca.IssueFor(t, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, "service").Leaf
	for usage, want := range map[x509.ExtKeyUsage]bool{x509.ExtKeyUsageClientAuth: true, x509.ExtKeyUsageServerAuth: false} {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), KeyUsages: []x509.ExtKeyUsage{usage}})
		if (err == nil) != want {
			t.Errorf("usage %v: %v", usage, err)
		}
	}
}

// TestFiles reads what was written.
func TestFiles(t *testing.T) {
	ca := testcert.NewCA(t)
	issued := ca.Issue(t, "replica")
	read, err := tls.LoadX509KeyPair(testcert.Files(t, issued))
	if err != nil {
		t.Fatal(err)
	}
	if !read.Leaf.Equal(issued.Leaf) {
		t.Error("another certificate was read than written")
	}
	cert, key := testcert.Files(t, issued)
	config, err := testcert.LoadMutual(ca.File(t), cert, key)
	if err != nil {
		t.Fatal(err)
	}
	if !config.RootCAs.Equal(ca.Pool()) || !config.ClientCAs.Equal(ca.Pool()) || !config.Certificates[0].Leaf.Equal(issued.Leaf) {
		t.Error("another configuration was read than written")
	}
	if _, err := testcert.LoadMutual(key, cert, key); err == nil {
		t.Error("a key is taken for an authority")
	}
}
