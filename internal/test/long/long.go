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

// OnlyWithRace skips t under the race detector, which makes it take long, unless the tests that
// take long are to run.
func OnlyWithRace(t testing.TB) {
	t.Helper()
	if raceDetector {
		Only(t)
	}
}

// Times returns how often to repeat something: n times, or a fifth of that under the race
// detector, unless the tests that take long are to run.
func Times(n int) int {
	if raceDetector && !Asked() {
		return max(n/5, 1)
	}
	return n
}
