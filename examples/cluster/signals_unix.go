//go:build unix

package main

import (
	"os"
	"syscall"
)

// What is sent to replicas: nil where there is no such signal.
var (
	hang   os.Signal = syscall.SIGSTOP
	resume os.Signal = syscall.SIGCONT
	drain  os.Signal = syscall.SIGTERM
)
