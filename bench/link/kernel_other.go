//go:build !linux

package link

import "errors"

// A Kernel is a path through the kernel, which there is on Linux only.
type Kernel struct{ Near, Far string }

// ErrNotHere matches the error of [OpenKernel].
var ErrNotHere = errors.New("there can be no path through the kernel here")

// OpenKernel returns ErrNotHere.
func OpenKernel(Conditions, string) (*Kernel, error) { return nil, ErrNotHere }

// Reach returns ErrNotHere.
func (*Kernel) Reach(string) (string, error) { return "", ErrNotHere }

// Heal does nothing.
func (*Kernel) Heal() {}

// Close does nothing.
func (*Kernel) Close() error { return nil }
