//go:build unix

package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/backdial/backdial/bench/harness"
)

// BenchmarkPrograms lets well-known programs use services of a device: directly, through a
// plain relay of TCP connections, through examples/forward, and through ssh -R. Without a
// program its rows are skipped.
func BenchmarkPrograms(b *testing.B) {
	for _, p := range []struct {
		name  string
		serve func(b *testing.B) (addr string)
		use   func(b *testing.B, host, port string)
	}{
		{"redis-benchmark GET, 50 clients", serveRedis, useRedis},
		{"pgbench -S, 8 clients", servePostgres, usePostgres},
		{"iperf3 to the device, 1 stream", serveIperf, useIperf("-P", "1")},
		{"iperf3 from the device, 8 streams", serveIperf, useIperf("-P", "8", "-R")},
	} {
		b.Run("program="+p.name, func(b *testing.B) {
			service := p.serve(b)
			for _, way := range []struct {
				name string
				open func(b *testing.B, service string) (addr string)
			}{
				{"direct", func(_ *testing.B, service string) string { return service }},
				{"relay", relayed},
				{"forward", forwarded},
				{"ssh -R", byOpenSSH},
			} {
				b.Run("case="+way.name, func(b *testing.B) {
					host, port, err := net.SplitHostPort(way.open(b, service))
					if err != nil {
						b.Fatal(err)
					}
					p.use(b, host, port)
					b.ReportMetric(0, "ns/op") // it means nothing here
				})
			}
		})
	}
}

func relayed(b *testing.B, service string) string {
	addr := freeAddr(b)
	start(b, addr, exec.Command(build(b, "./relay"), addr, service))
	return addr
}

func forwarded(b *testing.B, service string) string {
	addr := freeAddr(b)
	start(b, addr, exec.Command(build(b, "../examples/forward"), "-listen", addr, "-target", service))
	return addr
}

// byOpenSSH starts a server and a client, with a new key.
func byOpenSSH(b *testing.B, service string) string {
	client, server, keygen := find(b, "ssh"), find(b, "sshd"), find(b, "ssh-keygen")
	me, err := user.Current()
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	key, known, config := filepath.Join(dir, "key"), filepath.Join(dir, "known"), filepath.Join(dir, "config")
	run(b, exec.Command(keygen, "-q", "-t", "ed25519", "-N", "", "-f", key))
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		b.Fatal(err)
	}
	sshAddr, addr := freeAddr(b), freeAddr(b)
	host, port, _ := net.SplitHostPort(sshAddr)
	for name, content := range map[string]string{
		known: fmt.Sprintf("[%s]:%s %s", host, port, public),
		config: fmt.Sprintf("ListenAddress %s\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\n"+
			"StrictModes no\nUsePAM no\nPermitRootLogin yes\n", sshAddr, key, key+".pub"),
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	// Debian's sshd wants this folder if it is root. Whatever starts the service makes it.
	const separation = "/run/sshd"
	if os.Getuid() == 0 && os.Mkdir(separation, 0o755) == nil {
		b.Cleanup(func() { os.Remove(separation) })
	}
	start(b, sshAddr, exec.Command(server, "-D", "-e", "-f", config))
	err = tryStart(b, addr, exec.Command(client, "-N", "-F", "none", "-p", port, "-i", key, "-R", addr+":"+service,
		"-o", "UserKnownHostsFile="+known, "-o", "ExitOnForwardFailure=yes", "-o", "BatchMode=yes",
		me.Username+"@"+host))
	if err != nil {
		b.Skip(err) // the user may not be allowed to log in
	}
	return addr
}

func serveRedis(b *testing.B) string {
	find(b, "redis-benchmark")
	server, addr := find(b, "redis-server"), freeAddr(b)
	host, port, _ := net.SplitHostPort(addr)
	start(b, addr, exec.Command(server, "--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--dir", b.TempDir()))
	return addr
}

func useRedis(b *testing.B, host, port string) {
	requests := strconv.Itoa(harness.UnlessShort(100_000, 2000))
	for b.Loop() {
		out := run(b, exec.Command(find(b, "redis-benchmark"), "-h", host, "-p", port, "-t", "get",
			"-c", "50", "-n", requests, "--csv"))
		// "test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms",…
		fields := strings.Split(regexp.MustCompile(`"GET",.*`).FindString(out), ",")
		if len(fields) < 7 {
			b.Fatalf("redis-benchmark says %q", out)
		}
		b.ReportMetric(number(b, strings.Trim(fields[1], `"`)), "requests/s")
		b.ReportMetric(1e6*number(b, strings.Trim(fields[4], `"`)), "p50-ns")
		b.ReportMetric(1e6*number(b, strings.Trim(fields[6], `"`)), "p99-ns")
	}
}

// servePostgres serves a database with the tables of pgbench. The server refuses to run
// as root; then it runs as the user that Debian has for it.
func servePostgres(b *testing.B) string {
	pgbench, initdb, server := find(b, "pgbench"), find(b, "initdb"), find(b, "postgres")
	dir, err := os.MkdirTemp("", "backdial-postgres-") // other users cannot enter b.TempDir
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	as := new(syscall.SysProcAttr)
	if os.Getuid() == 0 {
		postgres, err := user.Lookup("postgres")
		if err != nil {
			b.Skip(err)
		}
		uid, uidErr := strconv.Atoi(postgres.Uid)
		gid, gidErr := strconv.Atoi(postgres.Gid)
		if err := errors.Join(uidErr, gidErr, os.Chown(dir, uid, gid)); err != nil {
			b.Fatal(err)
		}
		as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	unprivileged := func(name string, arguments ...string) *exec.Cmd {
		cmd := exec.Command(name, arguments...)
		cmd.SysProcAttr, cmd.Dir = as, dir
		return cmd
	}
	run(b, unprivileged(initdb, "-D", dir, "-A", "trust", "-U", "postgres", "--no-sync"))
	addr := freeAddr(b)
	host, port, _ := net.SplitHostPort(addr)
	start(b, addr, unprivileged(server, "-D", dir, "-h", host, "-p", port, "-k", dir, "-F"))
	initialize := func() *exec.Cmd {
		return exec.Command(pgbench, "-i", "-q", "-h", host, "-p", port, "-U", "postgres", "postgres")
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		out, err := initialize().CombinedOutput() // it listens before it serves
		if err == nil {
			return addr
		}
		if time.Now().After(deadline) {
			b.Fatalf("pgbench -i: %v\n%s", err, out)
		}
	}
}

func usePostgres(b *testing.B, host, port string) {
	transactions := strconv.Itoa(harness.UnlessShort(5000, 50)) // of each client
	for b.Loop() {
		out := run(b, exec.Command(find(b, "pgbench"), "-S", "-n", "-c", "8", "-t", transactions,
			"-h", host, "-p", port, "-U", "postgres", "postgres"))
		b.ReportMetric(number(b, match(b, out, `tps = ([0-9.]+)`)), "requests/s")
	}
}

func serveIperf(b *testing.B) string {
	addr := freeAddr(b)
	host, port, _ := net.SplitHostPort(addr)
	start(b, "", exec.Command(find(b, "iperf3"), "-s", "-B", host, "-p", port))
	return addr
}

// useIperf measures two seconds, without the first half second, in which windows grow.
func useIperf(arguments ...string) func(b *testing.B, host, port string) {
	return func(b *testing.B, host, port string) {
		length := []string{"-t", "2", "-O", "0.5"}
		if testing.Short() {
			length = []string{"-t", "1"}
		}
		for b.Loop() {
			b.ReportMetric(iperf(b, append(append([]string{"-c", host, "-p", port, "-J"}, length...), arguments...)), "MB/s")
		}
	}
}

// iperf returns how many megabytes a second arrive. The service has one client at a time.
// iperf tries again while the service does not listen yet, or still has the client that
// found it listening.
func iperf(b *testing.B, arguments []string) float64 {
	b.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		var said struct {
			End struct {
				Received struct {
					Bits float64 `json:"bits_per_second"`
				} `json:"sum_received"`
			}
			Error string
		}
		out, err := exec.Command(find(b, "iperf3"), arguments...).Output()
		if err := errors.Join(err, json.Unmarshal(out, &said)); err == nil && said.Error == "" {
			return said.End.Received.Bits / 8 / 1e6
		}
		if time.Now().After(deadline) {
			b.Fatalf("iperf3: %v\n%s", err, out)
		}
	}
}

// patience is how long a program may take to start.
const patience = 20 * time.Second

// find returns where a program is, or skips the benchmark.
func find(b *testing.B, program string) string {
	b.Helper()
	// Debian installs these in folders that are in no user's PATH.
	for _, pattern := range []string{"/usr/sbin/", "/usr/lib/postgresql/*/bin/"} {
		if found, _ := filepath.Glob(pattern + program); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	b.Skipf("there is no %s here", program)
	return ""
}

// build compiles a program.
func build(b *testing.B, pkg string) string {
	b.Helper()
	exe := filepath.Join(b.TempDir(), "program")
	run(b, exec.Command("go", "build", "-o", exe, pkg))
	return exe
}

// run returns what a command prints.
func run(b *testing.B, cmd *exec.Cmd) string {
	b.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// start runs a command until b is done, and returns when it accepts connections at addr, if
// that is not empty.
func start(b *testing.B, addr string, cmd *exec.Cmd) {
	b.Helper()
	if err := tryStart(b, addr, cmd); err != nil {
		b.Fatal(err)
	}
}

func tryStart(b *testing.B, addr string, cmd *exec.Cmd) error {
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	b.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(patience):
			cmd.Process.Kill()
			<-ended
		}
	})
	if addr == "" {
		return nil
	}
	for deadline := time.Now().Add(patience); ; {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("%s has ended: %s", cmd.Path, &said)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%v does not listen at %s", cmd, addr)
		}
	}
}

// freeAddr returns an address for a program to listen on.
func freeAddr(b *testing.B) string { return harness.FreeAddr(b, "127.0.0.1") }

func match(b *testing.B, text, pattern string) string {
	b.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		b.Fatalf("%q does not match %s", text, pattern)
	}
	return m[1]
}

func number(b *testing.B, text string) float64 {
	b.Helper()
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}
