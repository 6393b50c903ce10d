//go:build unix

package wslis

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/backdial/backdial/internal/test/testcert"
)

// root is the module's, relative to this package.
const root = "../../.."

// port returns the program in testdata, built when the command in docs/wslis.md has changed it.
func port(t *testing.T) (program string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs/wslis.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, command, found := strings.Cut(string(text), "\nsed -i ")
	command, _, ended := strings.Cut(command, " *.go\n")
	if !found || !ended {
		t.Fatal("docs/wslis.md has no command that changes a program")
	}
	source, err := os.ReadFile("testdata/program.go")
	if err != nil {
		t.Fatal(err)
	}
	sed := exec.Command("sh", "-c", "sed "+command) // without -i, which not every sed has
	sed.Stdin = strings.NewReader(string(source))
	ported, err := sed.Output()
	if err != nil {
		t.Fatal("sed:", err)
	}

	dir := t.TempDir()
	file, program := filepath.Join(dir, "ported.go"), filepath.Join(dir, "program")
	place, err := filepath.Abs("ported/main.go") // which does not exist, but for the compiler
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {place: file}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{file: ported, filepath.Join(dir, "overlay.json"): overlay} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, "./ported")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// TestPrograms does what users who come from wslis do.
func TestPrograms(t *testing.T) {
	program := port(t)
	dir := t.TempDir()
	certificate, key := testcert.Files(t, testcert.NewCA(t).Issue(t, "localhost", "127.0.0.1"))
	for from, to := range map[string]string{certificate: "ssl.crt", key: "ssl.key"} {
		if err := os.Rename(from, filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"echo", "mounted", "echo-tls", "web", "web-tls"} {
		t.Run(name, func(t *testing.T) {
			if name == "echo-tls" && runtime.GOOS != "linux" {
				t.Skip("no other system takes certificates from SSL_CERT_FILE")
			}
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ln.Close()
			var failure bytes.Buffer
			cmd := exec.CommandContext(t.Context(), program, name, ln.Addr().String())
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+filepath.Join(dir, "ssl.crt"))
			cmd.Stderr = &failure
			out, err := cmd.Output()
			if string(out) != "hola\n" || err != nil {
				t.Errorf("the device says %q, %v\n%s", out, err, failure.String())
			}
		})
	}
}
