package main

import (
	"slices"
	"testing"
)

// TestFreePorts asks for so many ports that one would come twice if that were possible.
func TestFreePorts(t *testing.T) {
	const n = 500
	ports, err := freePorts(host, n)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ports)
	if got := len(slices.Compact(ports)); got != n {
		t.Errorf("%d different ports, want %d", got, n)
	}
}
