package clustertest

import "time"

// Hurry is for registries that are known to be at fault.
func Hurry() { patience, atOnce = 1500*time.Millisecond, 200*time.Millisecond }
