package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"
)

// turnover is how long a process may take to hand over to the next, or to end.
const turnover = 30 * time.Second

// A process is a server, and after restarts its successor at the same address.
type process struct {
	addr  string
	leash *os.File // open as long as servers may run
}

// startServer starts the first server.
func startServer() (*process, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer ln.Close() // the process has a copy
	stdin, leash, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	p := &process{ln.Addr().String(), leash}
	if err := start(ln.(*net.TCPListener), stdin, "-serve", p.addr, "-leash"); err != nil {
		leash.Close()
		return nil, err
	}
	return p, nil
}

// pid returns the id of the current process.
func (p *process) pid() (int, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: turnover}
	answer, err := client.Get("http://" + p.addr + "/pid")
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}

// restart starts the next process, waits until it has taken over, and returns its id.
func (p *process) restart() (pid int, err error) {
	before, err := p.signal(syscall.SIGHUP)
	if err != nil {
		return 0, err
	}
	for deadline := time.Now().Add(turnover); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if pid, err = p.pid(); err == nil && pid != before {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("process %d is still there after %v: %w", before, turnover, err)
}

// signal sends a signal to the current process.
func (p *process) signal(s os.Signal) (pid int, err error) {
	if pid, err = p.pid(); err != nil {
		return 0, err
	}
	now, err := os.FindProcess(pid)
	if err != nil {
		return 0, err
	}
	return pid, now.Signal(s)
}

// end ends the last process, and waits until none is left.
func (p *process) end() {
	p.signal(syscall.SIGTERM)
	for deadline := time.Now().Add(turnover); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if _, err := p.leash.Write([]byte{0}); err != nil { // nobody holds the other end
			break
		}
	}
	p.leash.Close() // every remaining server ends
}
