// Package long keeps tests that take long out of ordinary runs, so that `go test ./...`
// takes a few minutes.
package long

import (
	"flag"
	"os"
	"testing"
)

// env, if not empty, runs all tests that take long.
const env = "BACKDIAL_LONG"

// Asked reports whether the tests that take long should run.
func Asked() bool { return os.Getenv(env) != "" }

// Only skips t unless the tests that take long should run.
func Only(t testing.TB) {
	t.Helper()
	if !Asked() {
		t.Skip("takes long: run it with " + env + "=1")
	}
}

// Shorten makes [testing.Short] return true until t has ended, unless the tests that take
// long should run. It is for suites that others use too: they leave out what takes long
// if Short is true.
func Shorten(t testing.TB) {
	t.Helper()
	if Asked() || testing.Short() {
		return
	}
	set := func(short string) {
		if err := flag.Set("test.short", short); err != nil {
			t.Fatal(err)
		}
	}
	set("true")
	t.Cleanup(func() { set("false") })
}
