//go:build race

package muxtest

// slowdown is by how much the race detector multiplies processor time.
const slowdown = 3
