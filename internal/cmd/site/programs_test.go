package main

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPrograms runs the server and the device of README.md, at another address.
func TestPrograms(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	var programs []string
	for _, s := range snippets(parse("README.md", source)) {
		if strings.HasPrefix(s.code, "package main") {
			programs = append(programs, s.code)
		}
	}
	if len(programs) != 2 {
		t.Fatalf("README.md has %d programs, want a server and a device", len(programs))
	}
	log := start(t, "server", strings.Replace(programs[0], `":8080"`, `"`+addr+`"`, 1), addr)
	start(t, "device", strings.Replace(programs[1], "localhost:8080", addr, 1), addr)
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if strings.HasSuffix(lines.Text(), `123 says "fine", <nil>`) {
			return
		}
		t.Log(lines.Text())
	}
	t.Error("the server has ended, and not heard from the device")
}

// start builds a program, which uses addr, and runs it until t ends. It returns what the program
// logs.
func start(t *testing.T, name, code, addr string) io.Reader {
	t.Helper()
	if !strings.Contains(code, addr) {
		t.Fatalf("the %s uses another address", name)
	}
	dir := t.TempDir()
	file, program := filepath.Join(dir, name+".go"), filepath.Join(dir, name+".exe")
	if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), program)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Wait() }) // t's context has ended then, which kills it
	return log
}
