// Report runs the benchmarks of package bench several times and writes what came
// of them, with ratios to a TCP connection and to wslis:
//
//	go run ./bench/report           about 25 minutes
//	go run ./bench/report -short    about a minute
//
// Machines are noisy. All benchmarks are run once before any is run again, so
// that a row and its baseline see the same machine; the figures are medians,
// and the spread is shown beside them.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("report: ")
	short := flag.Bool("short", false, "one repeat of 100 ms for each row")
	repeats := flag.Int("repeats", 5, "how often each row is measured")
	benchtime := flag.String("benchtime", "300ms", "how long a row is measured each time, as in go test")
	only := flag.String("bench", ".", "benchmarks that match this `regexp` only")
	dir := flag.String("dir", "bench", "`folder` of the benchmarks, for the results too")
	flag.Parse()
	if *short {
		*repeats, *benchtime = 1, "100ms"
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := report(ctx, *dir, *only, *benchtime, *repeats); err != nil {
		log.Fatal(err)
	}
}

func report(ctx context.Context, dir, only, benchtime string, repeats int) error {
	r := runner{dir: dir, benchtime: benchtime, progress: os.Stderr}
	defer r.close()
	if err := r.build(ctx); err != nil {
		return err
	}
	names, err := r.list(ctx, only)
	if err != nil {
		return err
	}
	versions, err := r.versions(ctx)
	if err != nil {
		return err
	}
	results := newResults()
	began := time.Now()
	for i := range repeats {
		for j, name := range names {
			fmt.Fprintf(r.progress, "\r%3.0f s  repeat %d of %d, %-40s", time.Since(began).Seconds(), i+1, repeats, names[j])
			out, err := r.run(ctx, name)
			if err != nil {
				return err
			}
			if err := results.add(out); err != nil {
				return err
			}
		}
	}
	fmt.Fprintln(r.progress)
	path := filepath.Join(dir, "RESULTS.md")
	if err := os.WriteFile(path, results.markdown(versions, repeats, benchtime), 0o644); err != nil {
		return err
	}
	fmt.Fprintln(r.progress, "wrote", path)
	return nil
}
