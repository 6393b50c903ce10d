//go:build !linux && !darwin

package nowait

import (
	"errors"
	"net"
)

// A Socket does not exist on this platform: New returns nil.
type Socket struct{}

// New returns nil.
func New(net.Conn) *Socket { return nil }

// Write is not called.
func (*Socket) Write([][]byte) (n int, err error) { return 0, errors.ErrUnsupported }

// Read is not called.
func (*Socket) Read([]byte) (n int) { return 0 }

// Spill is not called.
func (*Socket) Spill([]byte, Spill, bool) (n int, err error) { return 0, errors.ErrUnsupported }
