//go:build !linux && !darwin

package ws

import "github.com/backdial/backdial/carrier"

// prompted returns c: it cannot be written without waiting.
func prompted(c *conn) carrier.Conn { return c }
