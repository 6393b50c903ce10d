//go:build !unix

package main

import "os"

// Signals for replicas: nil where they do not exist.
var hang, resume, drain os.Signal
