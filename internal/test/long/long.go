// Package long has tests that take long wait until somebody asks for them, so that `go test
// ./...` takes a few minutes.
package long

import (
	"flag"
	"os"
	"testing"
)

// env asks for the tests that take long: all of them run if it is not empty.
const env = "BACKDIAL_LONG"

// Asked reports whether the tests that take long are to run.
func Asked() bool { return os.Getenv(env) != "" }

// Only skips t unless the tests that take long are to run.
func Only(t testing.TB) {
	t.Helper()
	if !Asked() {
		t.Skip("takes long: run it with " + env + "=1")
	}
}

// Shorten has [testing.Short] report true until t has ended, unless the tests that take long
// are to run. Suites that serve others too leave out what takes long then.
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
