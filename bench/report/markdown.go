package main

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"time"
)

// markdown writes a table for each benchmark.
func (r *results) markdown(versions string, repeats int, benchtime string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Results\n\nWritten by `go run ./bench/report` on %s: medians of %d × %s. ± is half of the\n"+
		"distance between the quarters. In brackets: the ratio to a TCP connection, and to wslis, of the same\nrun. Both ends run in one process.\n\n",
		time.Now().UTC().Format(time.DateOnly), repeats, benchtime)
	fmt.Fprintf(&b, "%s, %d processors", runtime.Version(), runtime.NumCPU())
	for _, c := range r.config {
		if c.Key == "cpu" || c.Key == "goos" || c.Key == "goarch" {
			fmt.Fprintf(&b, ", %s", c.Value)
		}
	}
	fmt.Fprintf(&b, "%s\n", versions)
	for _, t := range r.tables {
		t.markdown(&b)
	}
	return b.Bytes()
}

func (t *table) markdown(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n## %s\n\n| carrier | mux |", t.name)
	for _, u := range t.units {
		fmt.Fprintf(b, " %s |", u)
	}
	fmt.Fprintf(b, "\n|---|---|%s\n", strings.Repeat("---:|", len(t.units)))
	for _, r := range t.rows {
		fmt.Fprintf(b, "| %s | %s |", r.carrier, r.mux)
		for _, u := range t.units {
			fmt.Fprintf(b, " %s |", t.cell(r, u))
		}
		fmt.Fprintln(b)
	}
}

func (t *table) cell(r *row, unit string) string {
	if len(r.values[unit]) == 0 {
		return ""
	}
	m, spread := median(r.values[unit])
	s := fmt.Sprintf("%.4g", m)
	if spread > 0 {
		s += fmt.Sprintf(" ±%.0f%%", 100*spread)
	}
	var ratios []string
	for _, base := range [][2]string{{"tcp", "none"}, {"wslis", "yamux"}} {
		text := "–"
		if ratio, ok := t.ratio(r, unit, base[0], base[1]); ok {
			text = fmt.Sprintf("%.2f", ratio)
		}
		ratios = append(ratios, text)
	}
	return s + " (" + strings.Join(ratios, ", ") + ")"
}
