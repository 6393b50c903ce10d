package muxtest

import "time"

// SetSoon sets how long the suite waits for what should happen at once.
func SetSoon(d time.Duration) { soon = d }

// Over makes sessions of a muxer over TCP.
var Over = over
