package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestMain runs a server if the test has started the process as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-serve" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestCommand runs the documented command.
func TestCommand(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "run", ".", "-h")
	if out, _ := cmd.CombinedOutput(); !strings.Contains(string(out), "-restarts") {
		t.Errorf("%s", out)
	}
}

// TestDocs expects docs/staying-up.md to show the server's code.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/staying-up.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("server.go")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Restart one server\n")
	section, _, _ = strings.Cut(section, "\n## ")
	_, shown, _ := strings.Cut(section, "```go\n")
	shown, _, found := strings.Cut(shown, "```")
	if has := strings.Contains(strings.ReplaceAll(string(program), "\n\t", "\n"), shown); !found || !has {
		t.Errorf("server.go does not have what docs/staying-up.md shows: %q", shown)
	}
	if lines := strings.Count(section, "\n"); lines > 35 {
		t.Errorf("the section has %d lines", lines)
	}
}
