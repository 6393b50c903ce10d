package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// module is the module of the replica's program.
const module = "github.com/backdial/backdial"

// build builds the replica's program, which is a module of its own because of NATS.
func build(ctx context.Context, dir string) (program string, err error) {
	root, err := output(ctx, "", "go", "list", "-m", "-f", "{{.Dir}}", module)
	if err != nil {
		return "", fmt.Errorf("find the sources of the replica: run this in a checkout of the repository: %w", err)
	}
	program = filepath.Join(dir, "replica.exe")
	if _, err := output(ctx, filepath.Join(root, "examples", "cluster", "replica"), "go", "build", "-o", program, "."); err != nil {
		return "", fmt.Errorf("build the replica: %w", err)
	}
	return program, nil
}

// output runs a command in a folder, and returns its output.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, bytes.TrimSpace(complaints.Bytes()))
	}
	return strings.TrimSpace(string(out)), nil
}

// host is the address of all replicas.
const host = "127.0.0.1"

// A replica is a process.
type replica struct {
	name    string
	url     *url.URL // for devices and users
	program string
	args    []string
	log     string // the file with its log

	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has exited
	err    error         // how it exited
	down   string        // why requests skip it, or ""
}

// newReplicas returns n replicas that are not started yet. Their certificates are in dir,
// and their logs will be.
func newReplicas(program, dir string, names ...string) ([]*replica, error) {
	ports, err := freePorts(host, 3*len(names))
	if err != nil {
		return nil, err
	}
	web, peers, routes := ports[:len(names)], ports[len(names):2*len(names)], ports[2*len(names):]
	var replicas []*replica
	pem := func(name string) string { return filepath.Join(dir, name+".pem") }
	for i, name := range names {
		replicas = append(replicas, &replica{
			name:    name,
			url:     &url.URL{Scheme: "http", Host: web[i]},
			program: program,
			log:     filepath.Join(dir, name+".log"),
			args: []string{
				"-name", name,
				"-listen", web[i],
				"-peers", peers[i], "-url", "https://" + peers[i],
				"-routes", routes[i], "-join", strings.Join(routes, ","),
				"-ca", pem("ca"), "-cert", pem(name), "-key", pem(name + "-key"),
				"-notice", "300ms", "-spread", "500ms", // the proxy is quick, and there are few devices
			},
		})
	}
	return replicas, nil
}

// freePorts returns n addresses of host on whose ports nobody listens. The ports are outside the
// range from which the system assigns some, so that each is still free when a replica comes back.
func freePorts(host string, n int) (addrs []string, err error) {
	const lowest, all = 20000, 10000
	for range 100 * n {
		if len(addrs) == n {
			return addrs, nil
		}
		var ln net.Listener
		if ln, err = net.Listen("tcp", net.JoinHostPort(host, fmt.Sprint(lowest+rand.N(all)))); err == nil {
			defer ln.Close() // not before the last is found, so that none is found twice
			addrs = append(addrs, ln.Addr().String())
		}
	}
	return nil, fmt.Errorf("find %d free ports: %w", n, err)
}

// start starts the process.
func (r *replica) start() error {
	log, err := os.OpenFile(r.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	r.cmd, r.exited, r.err = exec.Command(r.program, r.args...), make(chan struct{}), nil
	r.cmd.Stdout, r.cmd.Stderr = log, log
	if err := r.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", r.name, err)
	}
	go func() { // ends with the process
		r.err = r.cmd.Wait()
		close(r.exited)
	}()
	return nil
}

// kill ends the process, whatever its state.
func (r *replica) kill() {
	if r.exited != nil {
		r.cmd.Process.Kill()
		<-r.exited
	}
}

// signal sends a signal.
func (r *replica) signal(s os.Signal) error {
	if err := r.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("send %s the signal %v: %w", r.name, s, err)
	}
	return nil
}

// ended returns an error if the process, which has exited, did not exit cleanly.
func (r *replica) ended() error {
	if r.err != nil {
		return fmt.Errorf("%s did not exit cleanly: %w", r.name, r.err)
	}
	return nil
}

// lastWords returns the end of a replica's log.
func (r *replica) lastWords() string {
	const lines = 12
	log, err := os.ReadFile(r.log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(log)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// wait waits for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
