// Package chromium runs a browser in tests, on Unix.
package chromium
