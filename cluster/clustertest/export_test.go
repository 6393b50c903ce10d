package clustertest

import "time"

// SetPatience is for registries that are known to be at fault.
func SetPatience(d time.Duration) { patience = d }
