// Report runs the benchmarks of package bench, of bench/peers and of bench/cluster
// several times, and writes the results as tables and as a page with plots. They include
// ratios to a TCP connection, to wslis, and for a cluster to a single server:
//
//	go run .           two to three hours
//	go run . -short    several minutes
//
// Machines are noisy, and drift. So all benchmarks run once before any runs again, and a
// row soon after its baseline. Each ratio is of two figures of the same repeat; the
// report shows the median of the ratios, with their spread.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options are the command line's.
type options struct {
	dir, out  string
	bench     string
	benchtime string
	repeats   int
	short     bool
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("report: ")
	var o options
	flag.StringVar(&o.dir, "dir", "..", "`folder` of the benchmarks")
	flag.StringVar(&o.out, "out", ".", "`folder` of the results")
	flag.StringVar(&o.bench, "bench", ".", "run the benchmarks whose names match this `regexp`, for all subjects")
	flag.StringVar(&o.benchtime, "benchtime", "300ms", "how long a row is measured each time, as in go test")
	flag.IntVar(&o.repeats, "repeats", 5, "how often each row is measured")
	flag.BoolVar(&o.short, "short", false, "several minutes: one repeat of 100 ms, with less distance and less scale, and what takes longer left out")
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatalf("%q is not a flag, and there are no other arguments", flag.Arg(0))
	}
	if o.short {
		o.shorten()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := report(ctx, o)
	switch {
	case err != nil && ctx.Err() != nil:
		log.Fatal("interrupted, nothing is written")
	case err != nil:
		log.Fatal(err)
	}
}

// shorten sets options that the command line leaves open to quick values.
func (o *options) shorten() {
	given := make(map[string]bool)
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if !given["benchtime"] {
		o.benchtime = "100ms"
	}
	if !given["repeats"] {
		o.repeats = 1
	}
}

func report(ctx context.Context, o options) error {
	if o.repeats < 1 {
		return fmt.Errorf("-repeats %d: measure at least once", o.repeats)
	}
	if !isBenchtime(o.benchtime) {
		return fmt.Errorf("-benchtime %s: say how long, such as 300ms, or how often, such as 100x", o.benchtime)
	}
	suites, err := build(ctx, o)
	defer func() {
		for _, s := range suites {
			s.close()
		}
	}()
	if err != nil {
		return err
	}
	if err := prepare(o.out); err != nil {
		return err
	}
	results, err := measure(ctx, o, suites)
	if err != nil {
		return err
	}
	about, err := describe(ctx, o, suites)
	if err != nil {
		return err
	}
	if err := write(o.out, newDocument(about, results)); err != nil {
		return err
	}
	if n := len(results.failures); n > 0 {
		return fmt.Errorf("%d of the benchmarks' runs failed: the results lack their figures", n)
	}
	return nil
}

// isBenchtime reports whether s is a time or a number of iterations.
func isBenchtime(s string) bool {
	if times, ok := strings.CutSuffix(s, "x"); ok {
		n, err := strconv.Atoi(times)
		return err == nil && n > 0
	}
	d, err := time.ParseDuration(s)
	return err == nil && d > 0
}

// prepare makes the folder of the results, and checks that it can be written before an
// hour is spent on them.
func prepare(out string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("make the folder of the results: %w", err)
	}
	probe, err := os.CreateTemp(out, ".report-")
	if err != nil {
		return fmt.Errorf("the results could not be written: %w", err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// measure runs every benchmark of every suite, again and again. A benchmark that fails
// costs only its own figures.
func measure(ctx context.Context, o options, suites []*suite) (*results, error) {
	steps := plan(suites)
	if len(steps) == 0 {
		return nil, fmt.Errorf("no benchmark in %s matches %q", o.dir, o.bench)
	}
	results := new(results)
	progress := newProgress(os.Stderr, steps, o.repeats)
	for repeat := range o.repeats {
		for _, step := range steps {
			progress.begin(step, repeat)
			out, err := step.suite.run(ctx, step.benchmark)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			err = errors.Join(err, results.add(out, repeat, step.suite.peers))
			if errors.Is(err, errNoResult) {
				if why := step.suite.skips(ctx, step.benchmark); why != "" {
					results.skip(step, why)
					err = nil
				}
			}
			if err != nil {
				progress.print(results.failed(step, repeat, err))
			}
			progress.end(step)
		}
	}
	progress.print("measured in " + progress.elapsed())
	if len(results.benchmarks) == 0 {
		return nil, errors.New("no benchmark has measured anything, nothing is written")
	}
	return results, nil
}

// write writes the document in both forms.
func write(dir string, d *document) error {
	page, err := d.html()
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{"RESULTS.md": d.markdown(), "report.html": page} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return fmt.Errorf("write the results: %w", err)
		}
		fmt.Fprintln(os.Stderr, "wrote", path)
	}
	return nil
}
