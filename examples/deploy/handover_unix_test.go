//go:build unix

package main

import (
	"flag"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/long"
)

var full = flag.Bool("full", false, "restart every 5 s for 2 minutes")

// slowest is how long a user may have to wait, unless the race detector makes processes
// several times slower, also to start.
const slowest = 2 * time.Second

// TestDeploys restarts a server of 20 devices in a loop.
func TestDeploys(t *testing.T) {
	leak.Check(t)
	o := options{every: time.Second, restarts: 5, devices: 20}
	if *full {
		o.every, o.restarts = 5*time.Second, 24
	}
	var out strings.Builder
	all, err := demonstrate(t.Context(), &out, o)
	t.Logf("\n%s", &out)
	if err != nil {
		t.Fatal(err)
	}
	all.check(t)
}

// check expects no request to have failed, or taken long.
func (t tally) check(test *testing.T) {
	test.Helper()
	if len(t.failed) > 0 {
		test.Errorf("%d requests failed, the first of them with: %v", len(t.failed), t.failed[0])
	}
	if t.requests == 0 || t.slowest > slowest && !raceDetector {
		test.Errorf("the slowest of %d requests took %v, want %v at most", t.requests, t.slowest, slowest)
	}
}

// TestSystemd stops a server and then starts it again, with a socket that another process
// holds.
func TestSystemd(t *testing.T) {
	long.Only(t)
	leak.Check(t)
	ln := listening(t)
	defer ln.Close()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	server := startLikeSystemd(t, ln, program)
	s, err := newSite(t.Context(), ln.Addr().String(), 20)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	var all tally
	// busy waits until each user has asked some ten times more.
	busy := func() {
		t.Helper()
		most := all.requests + 10*20
		await.Until(t, "the users' requests", func() bool {
			all.add(s.users.take())
			return all.requests >= most
		})
	}
	for range 5 {
		busy()
		server.stop(t)
		server = startLikeSystemd(t, ln, program)
	}
	busy()
	t.Logf("%d requests, the slowest took %v", all.requests, all.slowest)
	all.check(t)
}

// TestNextDoesNotServe replaces the program by one that fails: the server must go on.
// Then it replaces that by one that works, and the server must hand over.
func TestNextDoesNotServe(t *testing.T) {
	leak.Check(t)
	works, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	fails := filepath.Join(t.TempDir(), "fails")
	if err := os.WriteFile(fails, []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "server")
	replace := func(by string) {
		t.Helper()
		data, err := os.ReadFile(by)
		if err == nil {
			err = os.WriteFile(program+".new", data, 0o700)
		}
		if err == nil {
			err = os.Rename(program+".new", program)
		}
		if err != nil {
			t.Fatal(err)
		}
	}

	replace(works)
	ln := listening(t)
	server := startLikeSystemd(t, ln, program)
	ln.Close()
	p := &process{server.addr, server.leash}
	defer p.end()
	s, err := newSite(t.Context(), p.addr, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	before := server.cmd.Process.Pid
	replace(fails)
	if pid, err := p.signal(syscall.SIGHUP); pid != before || err != nil {
		t.Fatalf("process %d is there, %v, want %d", pid, err, before)
	}
	await.Until(t, "complaint", func() bool { return strings.Contains(server.said(t), "still here") })
	if pid, err := p.pid(); pid != before || err != nil {
		t.Errorf("process %d is there, %v, want %d", pid, err, before)
	}
	replace(works)
	if _, err := p.restart(); err != nil {
		t.Error(err)
	}
	if err := server.cmd.Wait(); err != nil {
		t.Error("the first server:", err)
	}
	s.users.take().check(t)
}

func listening(t *testing.T) *net.TCPListener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln.(*net.TCPListener)
}

// A unit is a process started the way systemd does.
type unit struct {
	addr  string
	cmd   *exec.Cmd
	leash *os.File
	log   string // the file with what it says
}

// startLikeSystemd starts a server with a socket. It ends with t.
func startLikeSystemd(t *testing.T, ln *net.TCPListener, program string) *unit {
	t.Helper()
	socket, err := fileOf(ln)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	stdin, leash, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	log, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	addr := ln.Addr().String()
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, program, "-serve", addr, "-leash")
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1")
	cmd.Stdin, cmd.Stderr, cmd.ExtraFiles = stdin, log, []*os.File{socket}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		leash.Close()
		cmd.Wait()
	})
	return &unit{addr, cmd, leash, log.Name()}
}

// stop ends it.
func (u *unit) stop(t *testing.T) {
	t.Helper()
	u.cmd.Process.Signal(syscall.SIGTERM)
	if err := u.cmd.Wait(); err != nil {
		t.Errorf("the server: %v: %s", err, u.said(t))
	}
}

// said is its output.
func (u *unit) said(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(u.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
