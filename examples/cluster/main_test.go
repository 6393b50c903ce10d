package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/long"
)

// showTimeout bounds the whole show, including the build of NATS.
const showTimeout = 5 * time.Minute

// TestRun runs the whole show, without pauses.
func TestRun(t *testing.T) {
	long.Only(t) // it builds NATS, and runs three processes for 10 s
	leak.Check(t)
	tidy(t)
	ctx, cancel := context.WithTimeout(t.Context(), showTimeout)
	defer cancel()
	var out strings.Builder
	err := run(ctx, &out, options{addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatalf("%v, after\n%s", err, &out)
	}
	steps := []string{"■ All start\n", "■ replica-2 is killed (kill -9)\n", "■ replica-2 is started again\n"}
	if hang != nil {
		steps = append(steps, "■ replica-3 hangs (SIGSTOP)\n", "■ replica-3 goes on (SIGCONT)\n",
			"■ replica-1 is drained (SIGTERM)\n", "■ replica-1 is started again\n")
	}
	rest := out.String()
	for _, step := range append(steps, "Each time, every replica reached every device: ") {
		_, after, found := strings.Cut(rest, step)
		if !found {
			t.Fatalf("no %q, or not in its place, in\n%s", step, &out)
		}
		rest = after
	}
}

// TestStopped ends it in the middle, as Ctrl-C does.
func TestStopped(t *testing.T) {
	long.Only(t) // it builds NATS, and runs three processes
	leak.Check(t)
	tidy(t)
	ctx, stop := context.WithTimeout(t.Context(), showTimeout)
	defer stop()
	out := &awaited{text: "is killed (kill -9)", found: stop}
	if err := run(ctx, out, options{addr: "127.0.0.1:0"}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, after\n%s", err, &out.Builder)
	}
}

// TestCommand runs the documented command.
func TestCommand(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "run", ".", "-h")
	if out, _ := cmd.CombinedOutput(); !strings.Contains(string(out), "-pause") {
		t.Errorf("%s", out)
	}
}

// tidy fails t if files are left.
func tidy(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("TMP", dir) // on Windows
	t.Cleanup(func() {
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("left in the temporary folder: %v, %v", left, err)
		}
	})
}

// An awaited text calls a function once it is written.
type awaited struct {
	strings.Builder
	text  string
	found func()
}

var _ io.Writer = (*awaited)(nil)

func (a *awaited) Write(b []byte) (int, error) {
	n, err := a.Builder.Write(b)
	if strings.Contains(a.String(), a.text) {
		a.found()
	}
	return n, err
}
