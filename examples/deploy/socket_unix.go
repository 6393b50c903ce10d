//go:build unix

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// A server gets its socket the way systemd passes it: LISTEN_FDS=1 means that file 3 is
// one. So connections that nobody has accepted yet wait for the next server. Two sockets
// on one port (SO_REUSEPORT) would not do: the first one's connections would be reset
// with it.
const (
	socketsEnv = "LISTEN_FDS"
	forEnv     = "LISTEN_PID" // the process they are for; "" for any, as from startNext
	socketFile = 3

	readyEnv  = "DEPLOY_READY" // set if the server must report on readyFile that it is ready
	readyFile = 4

	// startTimeout is how long the next server may take to be ready.
	startTimeout = 10 * time.Second
)

// listen returns the socket that the process inherited, or a new one.
func listen(addr string) (*net.TCPListener, error) {
	pid, sockets := os.Getenv(forEnv), os.Getenv(socketsEnv)
	os.Unsetenv(forEnv)
	os.Unsetenv(socketsEnv)
	if sockets != "1" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, err
		}
		return ln.(*net.TCPListener), nil
	}
	file := os.NewFile(socketFile, "socket")
	defer file.Close() // ln has a copy
	ln, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("the socket of %s: %w", socketsEnv, err)
	}
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("the socket of %s is at %v, and not of TCP", socketsEnv, ln.Addr())
	}
	return tcp, nil
}

// tellReady tells the parent process that this one serves, if the parent waits for that.
func tellReady() {
	if os.Getenv(readyEnv) == "" {
		return
	}
	os.Unsetenv(readyEnv)
	file := os.NewFile(readyFile, "ready")
	file.Write([]byte{1})
	file.Close()
}

// startNext starts the next program, from the file of this one, which may have changed.
func startNext(ln *net.TCPListener) error { return start(ln, os.Stdin, os.Args[1:]...) }

// start starts this program with a socket, and returns when it serves. If it does not,
// start ends it.
func start(ln *net.TCPListener, stdin *os.File, args ...string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	socket, err := fileOf(ln)
	if err != nil {
		return err
	}
	defer socket.Close()
	ready, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	next := exec.Command(program, args...)
	next.Stdin, next.Stdout, next.Stderr = stdin, os.Stdout, os.Stderr
	next.ExtraFiles = []*os.File{socket, tell}
	next.Env = append(os.Environ(), socketsEnv+"=1", readyEnv+"=1")
	err = next.Start()
	tell.Close() // so that ready ends with the process
	if err != nil {
		return err
	}
	ready.SetReadDeadline(time.Now().Add(startTimeout))
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		next.Process.Kill()
		return fmt.Errorf("it does not serve: %w", errors.Join(err, next.Wait()))
	}
	go next.Wait() // ends with it, or with this process
	return nil
}

// fileOf returns another file for a socket. The file from ln.File would make the socket
// blocking, and then ln.Close would wait for a connection to accept.
func fileOf(ln *net.TCPListener) (*os.File, error) {
	conn, err := ln.SyscallConn()
	if err != nil {
		return nil, err
	}
	var file int
	var failed error
	err = conn.Control(func(fd uintptr) {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		if file, failed = syscall.Dup(int(fd)); failed == nil {
			syscall.CloseOnExec(file)
		}
	})
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(file), "socket"), nil
}
