package suite

import (
	"bytes"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// grace is how long Run waits for hanging promises after all others, so that their last
// reports are not lost.
const grace = 3 * time.Second

// SoonEnv sets [Soon] in the environment of a [Rerun], as a duration: promises that are
// expected to fail often fail only after Soon.
const SoonEnv = "BACKDIAL_SUITE_SOON"

// Soon is how long a test waits for what should happen at once: long enough for a loaded
// machine under the race detector, short enough to tell it from never.
func Soon() time.Duration {
	if d, err := time.ParseDuration(os.Getenv(SoonEnv)); err == nil {
		return d
	}
	return 20 * time.Second
}

// Limit bounds a promise. It is several times what a kept promise takes.
func Limit() time.Duration { return 3 * Soon() }

// watch runs test in a subtest of t. If the subtest is not done within the limit, watch
// fails t, and returns a channel that is closed when it is done after all.
func watch(t *testing.T, name string, test func(t *testing.T)) (hanging <-chan struct{}) {
	t.Helper()
	over := make(chan struct{})
	runner := make(chan []byte, 1)
	go func() {
		defer close(over) // even if t.Run ends the goroutine
		runner <- goroutineID()
		t.Run(name, test)
	}()
	timer := time.NewTimer(Limit())
	defer timer.Stop()
	select {
	case <-over:
		return nil
	case <-timer.C:
		t.Errorf("%s for more than %v\n%s", hangs(name), Limit(), family(<-runner))
		return over
	}
}

// hangs is the beginning of the report of a hanging promise.
func hangs(name string) string { return "promise " + name + " hangs" }

// awaitHanging waits for the channels that watch has returned, for grace at most.
func awaitHanging(hanging []<-chan struct{}) {
	late := time.After(grace)
	for _, over := range hanging {
		select {
		case <-over:
		case <-late:
			return
		}
	}
}

var (
	headerID  = regexp.MustCompile(`^goroutine (\d+) `)
	creatorID = regexp.MustCompile(`(?m)^created by .* in goroutine (\d+)$`)
)

// goroutineID returns the number of the caller's goroutine.
func goroutineID() []byte {
	buf := make([]byte, 64)
	return headerID.FindSubmatch(buf[:runtime.Stack(buf, false)])[1]
}

// family returns the stacks of the goroutines that descend from the goroutine root. Tests
// that do not wait for subtests come first.
func family(root []byte) string {
	buf := make([]byte, 4<<20)
	stacks := bytes.Split(buf[:runtime.Stack(buf, true)], []byte("\n\n"))
	var tests, others []string
	members := []string{string(root)}
	for grown := true; grown; { // a goroutine may come before its parent
		grown = false
		for i, stack := range stacks {
			creator := creatorID.FindSubmatch(stack)
			if creator == nil || !slices.Contains(members, string(creator[1])) {
				continue
			}
			if header := headerID.FindSubmatch(stack); header != nil {
				members = append(members, string(header[1]))
			}
			if text := string(stack); strings.Contains(text, "testing.tRunner(") && !strings.Contains(text, "testing.(*T).Run(") {
				tests = append(tests, text)
			} else {
				others = append(others, text)
			}
			stacks[i], grown = nil, true
		}
	}
	return clipped(strings.Join(append(tests, others...), "\n\n"))
}

// clipped cuts stacks to a readable length.
func clipped(stacks string) string {
	const most = 16 << 10
	if len(stacks) > most {
		return stacks[:most] + "\n…"
	}
	return stacks
}
