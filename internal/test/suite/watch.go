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

// grace is how long promises that hang are waited for when all others are done, so that
// what they still report is heard.
const grace = 3 * time.Second

// SoonEnv sets [Soon] in the environment of a [Rerun], as a duration: for promises that
// are expected to fail, which is what takes long.
const SoonEnv = "BACKDIAL_SUITE_SOON"

// Soon is how long a test waits for what should happen at once: long enough for a loaded
// machine under the race detector, short enough to tell it from never.
func Soon() time.Duration {
	if d, err := time.ParseDuration(os.Getenv(SoonEnv)); err == nil {
		return d
	}
	return 20 * time.Second
}

// Limit bounds a promise. It is several times of what one takes that is kept.
func Limit() time.Duration { return 3 * Soon() }

// watch runs test in a subtest of t. If that is not done within the limit, t fails, and
// watch returns what is closed when it is done after all.
func watch(t *testing.T, name string, test func(t *testing.T)) (hanging <-chan struct{}) {
	t.Helper()
	over := make(chan struct{})
	runner := make(chan []byte, 1)
	go func() {
		defer close(over) // also if t.Run ends the goroutine
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

// hangs is how the report of a promise that hangs begins.
func hangs(name string) string { return "promise " + name + " hangs" }

// awaitHanging waits for what watch has returned, within reason.
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

// family returns the stacks of the goroutines that descend from the one with the number
// root. First come tests that do not wait for subtests.
func family(root []byte) string {
	buf := make([]byte, 4<<20)
	stacks := bytes.Split(buf[:runtime.Stack(buf, true)], []byte("\n\n"))
	var tests, others []string
	members := []string{string(root)}
	for grown := true; grown; { // a goroutine may come before the one that started it
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

// clipped returns as much of stacks as somebody reads.
func clipped(stacks string) string {
	const most = 16 << 10
	if len(stacks) > most {
		return stacks[:most] + "\n…"
	}
	return stacks
}
