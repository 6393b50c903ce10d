package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// results are the measurements of all benchmarks.
type results struct {
	processor  string
	benchmarks []*benchmark // in the order in which they were measured
	failures   []string
	skipped    []string
}

// errNoResult means that a benchmark has run and printed no result.
var errNoResult = errors.New("the benchmark has printed no result")

// A benchmark is one function, with a table for each of its variants.
type benchmark struct {
	name   string // without "Benchmark"
	tables []*table
}

// A table is a variant of a benchmark, such as a direction.
type table struct {
	params []param // none if the benchmark has no variants
	units  []string
	rows   []*row
}

// A param is a part of a benchmark's name, such as streams=8.
type param struct{ key, value string }

// A row is the figures of one subject.
type row struct {
	subject subject
	values  map[string]series // by unit
}

// failed notes, and returns as a line, that a step has not measured everything.
func (r *results) failed(s step, repeat int, err error) string {
	failure := fmt.Sprintf("%s, repeat %d: %s", s, repeat+1, strings.Join(strings.Fields(err.Error()), " "))
	r.failures = append(r.failures, failure)
	return failure
}

// skip notes why a step has measured nothing, once for all repeats.
func (r *results) skip(s step, why string) {
	if skip := fmt.Sprintf("%s: %s", s, why); !slices.Contains(r.skipped, skip) {
		r.skipped = append(r.skipped, skip)
	}
}

// add adds what a benchmark has printed, of peers or not. It adds what it can
// even if it returns an error.
func (r *results) add(out []byte, repeat int, peers bool) error {
	var errs []error
	measured := 0
	reader := benchfmt.NewReader(bytes.NewReader(out), "output")
	for reader.Scan() {
		switch record := reader.Result().(type) {
		case *benchfmt.Result:
			measured++
			if err := r.addResult(record, repeat, peers); err != nil {
				errs = append(errs, err)
			}
		case *benchfmt.SyntaxError:
			errs = append(errs, fmt.Errorf("cannot read the benchmark's output: %w", record))
		}
	}
	if err := reader.Err(); err != nil {
		errs = append(errs, err)
	}
	if measured == 0 {
		errs = append(errs, errNoResult)
	}
	return errors.Join(errs...)
}

func (r *results) addResult(record *benchfmt.Result, repeat int, peers bool) error {
	name, parts := record.Name.Parts()
	s := subject{peer: peers}
	var params []param
	for _, part := range parts {
		if part[0] == '-' { // GOMAXPROCS
			continue
		}
		key, value, _ := strings.Cut(string(part[1:]), "=")
		switch key {
		case "carrier":
			s.carrier = value
		case "mux":
			s.mux = value
		case "case":
			s.name = strings.ReplaceAll(value, "_", " ")
		default:
			params = append(params, param{key, value})
		}
	}
	if (s.carrier == "" || s.mux == "") && s.name == "" {
		return fmt.Errorf("%s does not name its subject: it needs carrier= and mux=, or case=", record.Name.Full())
	}
	if r.processor == "" {
		r.processor = record.GetConfig("cpu")
	}
	table := r.benchmark(string(name)).table(params)
	row := table.row(s)
	for _, v := range record.Values {
		value, unit := v.Value, v.Unit
		if v.OrigUnit != "" {
			value, unit = v.OrigValue, v.OrigUnit
		}
		if row.values[unit] == nil {
			row.values[unit] = make(series)
		}
		row.values[unit][repeat] = value
		if !slices.Contains(table.units, unit) {
			table.units = append(table.units, unit)
		}
	}
	return nil
}

func (r *results) benchmark(name string) *benchmark {
	for _, b := range r.benchmarks {
		if b.name == name {
			return b
		}
	}
	b := &benchmark{name: name}
	r.benchmarks = append(r.benchmarks, b)
	return b
}

func (b *benchmark) table(params []param) *table {
	for _, t := range b.tables {
		if slices.Equal(t.params, params) {
			return t
		}
	}
	t := &table{params: params}
	b.tables = append(b.tables, t)
	return t
}

// row returns the row of a subject. Rows are in the order of subjects.
func (t *table) row(s subject) *row {
	if r := t.find(s); r != nil {
		return r
	}
	r := &row{s, make(map[string]series)}
	t.rows = append(t.rows, r)
	slices.SortStableFunc(t.rows, func(a, b *row) int { return compare(a.subject, b.subject) })
	return r
}

// find returns the row of a subject, or nil.
func (t *table) find(s subject) *row {
	for _, r := range t.rows {
		if r.subject == s {
			return r
		}
	}
	return nil
}

// values returns a subject's figures in a unit, which may be none.
func (t *table) values(s subject, unit string) series {
	if r := t.find(s); r != nil {
		return r.values[unit]
	}
	return nil
}
