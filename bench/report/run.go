package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A runner runs benchmarks in processes of their own.
type runner struct {
	dir       string
	benchtime string
	progress  io.Writer

	tmp, exe string
}

// build compiles the benchmarks.
func (r *runner) build(ctx context.Context) (err error) {
	if r.tmp, err = os.MkdirTemp("", "backdial-bench-"); err != nil {
		return err
	}
	r.exe = filepath.Join(r.tmp, "bench.test")
	pkg := r.dir
	if !filepath.IsAbs(pkg) {
		pkg = "./" + filepath.ToSlash(filepath.Clean(pkg))
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", r.exe, pkg)
	cmd.Stdout, cmd.Stderr = r.progress, r.progress
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build the benchmarks in %s: %w", r.dir, err)
	}
	return nil
}

func (r *runner) close() { os.RemoveAll(r.tmp) }

// list returns the names of the benchmarks that match a regular expression.
func (r *runner) list(ctx context.Context, only string) ([]string, error) {
	out, err := r.output(ctx, "-test.list", only)
	if err != nil {
		return nil, err
	}
	var names []string
	for name := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(name, "Benchmark") {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no benchmark in %s matches %q", r.dir, only)
	}
	return names, nil
}

// run runs a benchmark for all that is measured.
func (r *runner) run(ctx context.Context, name string) ([]byte, error) {
	return r.output(ctx, "-test.run", "^$", "-test.bench", "^"+name+"$", "-test.benchtime", r.benchtime, "-test.timeout", "30m")
}

func (r *runner) output(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, r.exe, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s%s", strings.Join(args, " "), err, out, errs.Bytes())
	}
	return out, nil
}

// versions are those of the libraries that are measured.
func (r *runner) versions(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", ", {{.Path}} {{.Version}}",
		"github.com/gorilla/websocket", "github.com/hashicorp/yamux", "github.com/xtaci/smux",
		"github.com/quic-go/quic-go", "github.com/quic-go/webtransport-go")
	cmd.Dir = r.dir
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%v: %w", cmd, err)
	}
	return strings.ReplaceAll(string(out), "\n", ""), nil
}
