//go:build unix

package harness

import (
	"syscall"
	"time"
)

// processorTime is the processor time of the process, and so of both ends, or 0 where it
// is not known.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
