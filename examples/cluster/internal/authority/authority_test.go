package authority_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/backdial/backdial/examples/cluster/internal/authority"
)

// TestUsages expects a replica to be a server and a client, and a service only a client.
func TestUsages(t *testing.T) {
	dir := t.TempDir()
	ca, err := authority.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.Replica("replica-1", "10.0.0.1", "one.example"); err != nil {
		t.Fatal(err)
	}
	if err := ca.Service("web"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		who, as  string
		usage    x509.ExtKeyUsage
		verifies bool
	}{
		{"replica-1", "replica-1", x509.ExtKeyUsageServerAuth, true},
		{"replica-1", "replica-1", x509.ExtKeyUsageClientAuth, true},
		{"replica-1", "10.0.0.1", x509.ExtKeyUsageServerAuth, true},
		{"replica-1", "one.example", x509.ExtKeyUsageServerAuth, true},
		{"replica-1", "replica-2", x509.ExtKeyUsageServerAuth, false},
		{"web", "web", x509.ExtKeyUsageClientAuth, true},
		{"web", "web", x509.ExtKeyUsageServerAuth, false},
	} {
		_, err := load(t, dir, test.who).Leaf.Verify(x509.VerifyOptions{
			Roots: roots(t, dir), DNSName: test.as, KeyUsages: []x509.ExtKeyUsage{test.usage},
		})
		if (err == nil) != test.verifies {
			t.Errorf("%s as %s for usage %d: %v, want none: %v", test.who, test.as, test.usage, err, test.verifies)
		}
	}
	if files := names(t, dir); !slices.Equal(files, []string{"ca.pem", "replica-1-key.pem", "replica-1.pem", "web-key.pem", "web.pem"}) {
		t.Errorf("files %q", files)
	}
}

// TestOpen makes an authority issue another certificate later.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"replica-1", "replica-2"} {
		ca, err := authority.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := ca.Replica(name, "127.0.0.1"); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"replica-1", "replica-2"} {
		if _, err := load(t, dir, name).Leaf.Verify(x509.VerifyOptions{Roots: roots(t, dir)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.Remove(filepath.Join(dir, "ca-key.pem")); err != nil {
		t.Fatal(err)
	}
	if _, err := authority.Open(dir); err == nil {
		t.Error("an authority without its key can be opened")
	}
}

// load returns a certificate, whose files only their owner may read.
func load(t *testing.T, dir, name string) tls.Certificate {
	t.Helper()
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, name+"-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("the key of %s has mode %v", name, mode)
	}
	return certificate
}

func roots(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	return pool
}

func names(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
