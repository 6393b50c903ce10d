//go:build !unix

package harness

import "time"

// processorTime is not known here.
func processorTime() time.Duration { return 0 }
