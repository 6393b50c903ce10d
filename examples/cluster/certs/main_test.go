package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRun makes certificates, and then one more.
func TestRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	var out strings.Builder
	if err := run(&out, dir, []string{"replica-1=10.0.0.1,one.example", "web"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ca.pem", "replica-1.pem: of a server at 10.0.0.1,one.example", "web.pem: of a service"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	before, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := run(&out, dir, []string{"replica-2=10.0.0.2"}); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(filepath.Join(dir, "ca.pem")); err != nil || string(after) != string(before) {
		t.Errorf("there is another authority, %v", err)
	}
}

// TestRunErrors checks the error for names that cannot have a certificate.
func TestRunErrors(t *testing.T) {
	for _, names := range [][]string{nil, {""}, {"=10.0.0.1"}, {"ca"}, {"../replica=10.0.0.1"}, {"replica="}} {
		if err := run(&strings.Builder{}, t.TempDir(), names); err == nil {
			t.Errorf("%q are certified", names)
		}
	}
}

// TestCommand runs the documented command.
func TestCommand(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "run", ".", "-h")
	if out, _ := cmd.CombinedOutput(); !strings.Contains(string(out), "replica=host") {
		t.Errorf("%s", out)
	}
}
