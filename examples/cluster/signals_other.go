//go:build !unix

package main

import "os"

// What is sent to replicas: nil where there is no such signal.
var hang, resume, drain os.Signal
