//go:build race

package muxtest

// slowdown is how much longer than usual what takes processor time may last: the race
// detector multiplies that.
const slowdown = 3
