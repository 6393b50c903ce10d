//go:build unix

package main

import (
	"os"
	"syscall"
)

// Signals for replicas.
var (
	hang   os.Signal = syscall.SIGSTOP
	resume os.Signal = syscall.SIGCONT
	drain  os.Signal = syscall.SIGTERM
)
