package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/backdial/backdial/internal/test/workload"
)

// A table is written with aligned columns.
type table struct{ *tabwriter.Writer }

func newTable(w io.Writer, title string, head ...string) table {
	fmt.Fprintf(w, "\n%s\n\n", title)
	t := table{tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)}
	t.row(head[0], toAny(head[1:])...)
	return t
}

// row writes the first cell to the left, and the others to the right.
func (t table) row(name string, cells ...any) {
	fmt.Fprintf(t, "%-*s\t", nameWidth, name)
	for _, c := range cells {
		if d, ok := c.(time.Duration); ok {
			c = short(d)
		}
		fmt.Fprintf(t, "%v\t", c)
	}
	fmt.Fprintln(t)
}

const nameWidth = 20

func toAny(texts []string) (all []any) {
	for _, text := range texts {
		all = append(all, text)
	}
	return all
}

// short writes a time with few digits.
func short(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// failures lists the classes that have a column.
var failures = []struct {
	class workload.Class
	title string
}{
	{workload.Ended, "session ended"},
	{workload.Draining, "draining"},
	{workload.Reset, "reset"},
	{workload.Refused, "refused"},
	{workload.Deadline, "deadline"},
	{workload.Other, "other"},
}

// writeResults writes the result of each stack, and of all.
func writeResults(w io.Writer, all []result) {
	total := result{stack: &stack{name: "all"}}
	for _, r := range all {
		r.report = r.judged()
		total = total.add(r)
	}
	rows := append(all[:len(all):len(all)], total)

	t := newTable(w, "Sessions and exchanges; a gap is a time without a session",
		"", "clients", "sessions", "reconnects", "moves", "gaps", "exchanges", "requests", "acknowledged")
	for _, r := range rows {
		t.row(r.stack.name, r.clients, r.sessions, r.sessions-r.clients-r.moves, r.moves, r.gaps,
			r.report.Exchanges, r.report.Sent, r.report.Acknowledged)
	}
	t.Flush()

	head := []string{"", "all"}
	for _, f := range failures {
		head = append(head, f.title)
	}
	t = newTable(w, "Exchanges that failed with an error", head...)
	for _, r := range rows {
		cells := []any{r.report.Failed}
		for _, f := range failures {
			cells = append(cells, r.ended[f.class])
		}
		t.row(r.stack.name, cells...)
	}
	t.Flush()

	t = newTable(w, "Violations; in brackets, those that only the workload can notice",
		"", "lost", "truncated", "duplicated", "corrupted", "not back", "longest call", "")
	for _, r := range rows {
		t.row(r.stack.name, r.report.Lost, r.count(r.report.Truncated), r.report.Duplicates, r.count(r.report.Corrupt),
			len(r.away), r.report.Longest.Took, r.report.Longest.Name)
	}
	t.Flush()

	t = newTable(w, "How long clients take to answer again; interrupted if another outage came first",
		"", "times", "p50", "p99", "max", "interrupted")
	for _, r := range rows {
		t.recoveries(r.stack.name, r.recoveries, "")
	}
	causes := make(map[string]bool)
	for _, r := range total.recoveries {
		causes[r.cause] = true
	}
	for _, cause := range slices.Sorted(maps.Keys(causes)) {
		t.recoveries("after: "+cause, total.recoveries, cause)
	}
	t.Flush()
}

func (t table) recoveries(name string, all []recovery, cause string) {
	s, interrupted := spreadOf(all, cause)
	t.row(name, len(s), s.at(0.5), s.at(0.99), s.at(1), interrupted)
}

// count returns n as a cell.
func (r result) count(n int) string {
	if r.stack.noisy {
		return fmt.Sprintf("(%d)", n)
	}
	return fmt.Sprint(n)
}

// A moment is a sample and its name.
type moment struct {
	name string
	sample
}

func writeMoments(w io.Writer, moments []moment) {
	t := newTable(w, "The process", "", "sessions", "goroutines", "heap")
	for _, m := range moments {
		t.row(m.name, m.sessions, m.goroutines, mebibytes(m.heap))
	}
	t.Flush()
}
