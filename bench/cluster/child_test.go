package cluster_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/bench/harness"
)

// childEnv is an environment variable that makes a process a replica.
const childEnv = "BACKDIAL_BENCH_REPLICA"

// TestMain also runs replicas.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	if err := child(); err != nil {
		fmt.Fprintln(os.Stderr, "replica:", err)
		os.Exit(1)
	}
}

// An order makes a child dial one of its clients, some times, or report what it holds.
type order struct {
	Dial  string // or "" for none
	Times int
}

// A report is what a child says when it has started, and after each order.
type report struct {
	At        addresses
	Routes    int
	Footprint harness.Footprint
	Failure   string
}

// child is a replica that follows orders until its input ends.
func child() error {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	var s setup
	if err := in.Decode(&s); err != nil {
		return err
	}
	r, err := startReplica(s)
	if err != nil {
		return err
	}
	defer r.close()
	if err := out.Encode(report{At: r.at}); err != nil {
		return err
	}
	var held []net.Conn
	defer func() {
		for _, conn := range held {
			conn.Close()
		}
	}()
	for {
		var o order
		if err := in.Decode(&o); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return err
		}
		var said report
		for range o.Times {
			conn, err := open(r.Dial, o.Dial)
			if err != nil {
				said.Failure = err.Error()
				break
			}
			held = append(held, conn)
		}
		said.Routes, said.Footprint = r.engine.Routes(), harness.MeasureFootprint()
		if err := out.Encode(said); err != nil {
			return err
		}
	}
}

// A process is a replica in a process of its own.
type process struct {
	site *site
	name string
	at   addresses
	cmd  *exec.Cmd
	in   *json.Encoder
	out  *json.Decoder
}

// child starts a replica in a process of its own, and tells the others about it. It ends
// when t is done.
func (s *site) child(name string) *process {
	s.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	p := &process{site: s, name: name, cmd: exec.Command(exe)}
	p.cmd.Env = append(os.Environ(), childEnv+"=1")
	p.cmd.Stderr = os.Stderr
	in, inErr := p.cmd.StdinPipe()
	out, outErr := p.cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr, p.cmd.Start()); err != nil {
		s.t.Fatalf("start replica %s: %v", name, err)
	}
	s.t.Cleanup(p.kill)
	p.in, p.out = json.NewEncoder(in), json.NewDecoder(out)
	p.at = p.tell(s.setup(name)).At
	backdialtest.Until(s.t, "routes to the other replicas", func() bool { return p.tell(order{}).Routes == len(s.joined) })
	return p
}

// tell returns the process's answer.
func (p *process) tell(what any) (said report) {
	p.site.t.Helper()
	if err := errors.Join(p.in.Encode(what), p.out.Decode(&said)); err != nil {
		p.site.t.Fatalf("replica %s: %v", p.name, err)
	}
	if said.Failure != "" {
		p.site.t.Fatalf("replica %s: %s", p.name, said.Failure)
	}
	return said
}

// kill ends the process as kill -9 does, and waits until it is gone. It may be repeated.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}
