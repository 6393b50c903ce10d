package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A suite is the benchmarks of one folder, which may be a module of its own. Each
// benchmark runs in its own process.
type suite struct {
	dir        string
	peers      bool // its subjects are other libraries
	benchmarks []string

	short     bool
	benchtime string
	tmp, exe  string
}

// build compiles the benchmarks in o.dir, and those of the peers and of the cluster below
// it. The caller must close the result even if there is an error.
func build(ctx context.Context, o options) ([]*suite, error) {
	dirs := []string{o.dir}
	peers := filepath.Join(o.dir, "peers")
	for _, dir := range []string{peers, filepath.Join(o.dir, "cluster")} {
		switch _, err := os.Stat(filepath.Join(dir, "go.mod")); {
		case err == nil:
			dirs = append(dirs, dir)
		case errors.Is(err, fs.ErrNotExist):
			fmt.Fprintf(os.Stderr, "%s is not a Go module, so it is not measured\n", dir)
		default:
			return nil, err
		}
	}
	var suites []*suite
	for _, dir := range dirs {
		s := &suite{dir: dir, peers: dir == peers, short: o.short, benchtime: o.benchtime}
		suites = append(suites, s)
		fmt.Fprintln(os.Stderr, "building", dir)
		if err := s.build(ctx); err != nil {
			return suites, err
		}
		if err := s.list(ctx, o.bench); err != nil {
			return suites, err
		}
	}
	return suites, nil
}

func (s *suite) build(ctx context.Context) (err error) {
	if s.tmp, err = os.MkdirTemp("", "backdial-bench-"); err != nil {
		return err
	}
	s.exe = filepath.Join(s.tmp, "bench.test")
	if _, err := s.output(ctx, "go", "test", "-c", "-o", s.exe, "."); err != nil {
		return fmt.Errorf("compile the benchmarks in %s: %w", s.dir, err)
	}
	if _, err := os.Stat(s.exe); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there are no benchmarks in %s", s.dir)
	}
	return nil
}

func (s *suite) close() { os.RemoveAll(s.tmp) }

// list finds the benchmarks that match a regular expression.
func (s *suite) list(ctx context.Context, expression string) error {
	out, err := s.output(ctx, s.exe, "-test.list", expression)
	if err != nil {
		return fmt.Errorf("list the benchmarks in %s: %w", s.dir, err)
	}
	for name := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(name, "Benchmark") {
			s.benchmarks = append(s.benchmarks, name)
		}
	}
	return nil
}

// run runs a benchmark for all its subjects, and returns what it printed even
// if it failed.
func (s *suite) run(ctx context.Context, benchmark string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("it hung: not done after %v", patience))
	defer cancel()
	out, err := s.output(ctx, s.exe, "-test.run", "^$", "-test.bench", "^"+benchmark+"$",
		"-test.benchtime", s.benchtime, fmt.Sprintf("-test.short=%t", s.short))
	if ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	return out, err
}

// skips returns why a benchmark skips its subjects, or at least the last of them, or nothing
// if it skips none. The benchmark runs once more, to say it.
func (s *suite) skips(ctx context.Context, benchmark string) (why string) {
	out, err := s.output(ctx, s.exe, "-test.v", "-test.run", "^$", "-test.bench", "^"+benchmark+"$",
		"-test.benchtime", "1x", fmt.Sprintf("-test.short=%t", s.short))
	reasons := regexp.MustCompile(`(?m)^\s+\S+\.go:\d+: (.*)\n--- SKIP: `).FindAllSubmatch(out, -1)
	if err != nil || len(reasons) == 0 {
		return ""
	}
	return string(reasons[len(reasons)-1][1])
}

// patience is for one benchmark with all its subjects. The flag -test.timeout is
// for tests: benchmarks take no notice of it.
const patience = 30 * time.Minute

// output returns the output of a command that runs in the suite's folder.
func (s *suite) output(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = s.dir
	cmd.WaitDelay = 5 * time.Second // for children that outlive it
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w%s", err, complaint(string(out)+errs.String()))
	}
	return out, err
}

// complaint shortens the output of a command that failed: a test that hangs prints every
// goroutine.
func complaint(said string) string {
	const most = 20
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(said), "\n"), func(line string) bool {
		key, _, found := strings.Cut(line, ": ")
		return strings.HasPrefix(line, "Benchmark") || found && slices.Contains([]string{"goos", "goarch", "pkg", "cpu"}, key)
	})
	if len(lines) > most {
		lines = append(lines[:most], "…")
	}
	if said = strings.Join(lines, "\n\t"); said == "" {
		return ""
	}
	return "\n\t" + said
}

// A step is one benchmark of one suite.
type step struct {
	suite     *suite
	benchmark string
}

func (s step) String() string { return s.benchmark + " of " + s.suite.dir }

// plan returns the steps of one repeat. It keeps the order of the first suite, and puts
// benchmarks of the same name in other suites right behind.
func plan(suites []*suite) []step {
	var names []string
	for _, s := range suites {
		for _, name := range s.benchmarks {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	var steps []step
	for _, name := range names {
		for _, s := range suites {
			if slices.Contains(s.benchmarks, name) {
				steps = append(steps, step{s, name})
			}
		}
	}
	return steps
}
