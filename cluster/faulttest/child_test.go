//go:build unix

package faulttest

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// A process is a replica in a process of its own.
type process struct {
	*replica
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has
	err   error         // how it ended
}

// child starts a replica in a process of its own. change changes its setup. It is killed
// when t is done.
func (s *site) child(name string, change ...func(*setup)) *process {
	s.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	p := &process{replica: s.newReplica(name), cmd: exec.Command(exe), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), childEnv+"=1", "GORACE=atexit_sleep_ms=0") // otherwise each takes another second to end
	p.cmd.Stderr = s.log
	// The process has a group of its own. When this process ends, that group is orphaned,
	// and the kernel sends a stopped replica SIGHUP and SIGCONT.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, inErr := p.cmd.StdinPipe()
	out, outErr := p.cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr, p.cmd.Start()); err != nil {
		s.t.Fatalf("start replica %s: %v", name, err)
	}
	said := json.NewDecoder(out)
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	s.t.Cleanup(func() {
		in.Close()
		p.kill()
	})
	tell := json.NewEncoder(in)
	told := p.setup()
	for _, f := range change {
		f(&told)
	}
	var at addresses
	if err := errors.Join(tell.Encode(told), said.Decode(&at)); err != nil {
		s.t.Fatalf("replica %s: %v", name, err)
	}
	var ready string
	if err := errors.Join(tell.Encode(p.listens(at)), said.Decode(&ready)); err != nil {
		s.t.Fatalf("replica %s: %v", name, err)
	}
	return p
}

// signal sends a signal.
func (p *process) signal(sig os.Signal) {
	p.site.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.site.t.Fatalf("signal %v to replica %s: %v", sig, p.name, err)
	}
}

// stop freezes the process, as if it hung, and waits until it stands still.
func (p *process) stop() {
	p.site.t.Helper()
	p.signal(syscall.SIGSTOP)
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(p.cmd.Process.Pid, &status, syscall.WUNTRACED, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || !status.Stopped() {
			p.site.t.Fatalf("replica %s: status %x, %v, want that it has stopped", p.name, status, err)
		}
		return
	}
}

// kill ends the process as kill -9 does, and waits until it is gone.
func (p *process) kill() {
	p.site.leaves(p.replica)
	p.cmd.Process.Kill()
	<-p.ended
}

// drain makes the process shut down, and waits until it has.
func (p *process) drain() {
	p.site.t.Helper()
	p.site.leaves(p.replica)
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(drainTime + patience):
		p.site.t.Fatalf("replica %s does not end", p.name)
	}
	if p.err != nil {
		p.site.t.Errorf("replica %s: %v", p.name, p.err)
	}
}

// memory is what the process has in use, in bytes.
func (p *process) memory() int64 {
	p.site.t.Helper()
	ctx, cancel := p.site.within(patience)
	defer cancel()
	_, told, err := through(ctx, p.Gate, request{})
	if err != nil {
		p.site.t.Fatalf("replica %s: %v", p.name, err)
	}
	return int64(told.Memory)
}
