package main

import (
	"context"
	"fmt"
	"maps"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// about says what was measured, where, when and how.
type about struct {
	Date     string
	Command  string
	Measured string // how often and for how long
	System   string
	Versions []string // of the libraries, with their paths
	repeats  int
}

func describe(ctx context.Context, o options, suites []*suite) (about, error) {
	a := about{
		Date:     time.Now().UTC().Format(time.DateOnly),
		Command:  command(o),
		Measured: fmt.Sprintf("%d × %s", o.repeats, o.benchtime),
		System:   system(ctx),
		repeats:  o.repeats,
	}
	versions := make(map[string]bool)
	for _, s := range suites {
		found, err := s.versions(ctx)
		if err != nil {
			return a, err
		}
		for _, v := range found {
			versions[v] = true
		}
	}
	for _, s := range suites {
		if slices.Contains(s.benchmarks, "BenchmarkPrograms") {
			maps.Copy(versions, programs(ctx))
		}
	}
	a.Versions = slices.Sorted(maps.Keys(versions))
	return a, nil
}

// programs returns the versions of the programs that use services of a device.
func programs(ctx context.Context) map[string]bool {
	versions := make(map[string]bool)
	for _, ask := range [][]string{
		{"redis-server", "--version"}, {"pgbench", "--version"}, {"iperf3", "--version"}, {"ssh", "-V"},
	} {
		out, err := exec.CommandContext(ctx, ask[0], ask[1:]...).CombinedOutput() // ssh says it as an error
		if line, _, _ := strings.Cut(string(out), "\n"); err == nil && line != "" {
			versions[line] = true
		}
	}
	return versions
}

// command is the one that makes the report again.
func command(o options) string {
	c := "cd bench/report && go run ."
	if o.short {
		c += " -short"
	}
	if o.bench != "." {
		c += fmt.Sprintf(" -bench '%s'", o.bench)
	}
	return fmt.Sprintf("%s -repeats %d -benchtime %s", c, o.repeats, o.benchtime)
}

// system describes the machine. The benchmarks themselves name the processor.
func system(ctx context.Context) string {
	kernel := runtime.GOOS
	if out, err := exec.CommandContext(ctx, "uname", "-sr").Output(); err == nil {
		kernel = strings.TrimSpace(string(out))
	}
	return fmt.Sprintf("%d processors, %s, %s/%s, %s", runtime.NumCPU(), kernel, runtime.GOOS, runtime.GOARCH, runtime.Version())
}

// versions returns the versions of modules that the benchmarks import directly.
func (s *suite) versions(ctx context.Context) ([]string, error) {
	const direct = "{{with .Module}}{{if not (or .Main .Indirect .Replace)}}{{.Path}} {{.Version}}{{end}}{{end}}"
	out, err := s.output(ctx, "go", "list", "-deps", "-test", "-f", direct, ".")
	if err != nil {
		return nil, fmt.Errorf("find the versions of what %s imports: %w", s.dir, err)
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' }), nil
}
