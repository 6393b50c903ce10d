//go:build !race

package muxtest

const slowdown = 1
