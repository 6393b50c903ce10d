package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// results are the measurements of all rows.
type results struct {
	config []benchfmt.Config // of the machine
	tables []*table          // in the order in which they came
}

// A table is a benchmark with its variant, such as a direction.
type table struct {
	name  string
	units []string
	rows  []*row
}

// A row is one carrier and multiplexer.
type row struct {
	carrier, mux string
	values       map[string][]float64 // by unit
}

func newResults() *results { return new(results) }

// add adds what a benchmark has printed.
func (r *results) add(out []byte) error {
	reader := benchfmt.NewReader(bytes.NewReader(out), "benchmark")
	for reader.Scan() {
		switch record := reader.Result().(type) {
		case *benchfmt.Result:
			r.addResult(record)
		case *benchfmt.SyntaxError:
			return fmt.Errorf("cannot read a benchmark's output: %w", record)
		}
	}
	return reader.Err()
}

func (r *results) addResult(record *benchfmt.Result) {
	base, parts := record.Name.Parts()
	title := string(base)
	var carrier, mux string
	for _, p := range parts {
		key, value, _ := strings.Cut(strings.TrimPrefix(string(p), "/"), "=")
		switch {
		case strings.HasPrefix(string(p), "-"): // GOMAXPROCS
		case key == "carrier":
			carrier = value
		case key == "mux":
			mux = value
		default:
			title += ", " + key + " " + value
		}
	}
	if len(r.config) == 0 {
		r.config = slices.Clone(record.Config)
	}
	row := r.table(title).row(carrier, mux)
	for _, v := range record.Values {
		value, unit := v.Value, v.Unit
		if v.OrigUnit != "" {
			value, unit = v.OrigValue, v.OrigUnit
		}
		row.values[unit] = append(row.values[unit], value)
		if t := r.table(title); !slices.Contains(t.units, unit) {
			t.units = append(t.units, unit)
		}
	}
}

func (r *results) table(name string) *table {
	i := slices.IndexFunc(r.tables, func(t *table) bool { return t.name == name })
	if i < 0 {
		r.tables = append(r.tables, &table{name: name})
		i = len(r.tables) - 1
	}
	return r.tables[i]
}

func (t *table) row(carrier, mux string) *row {
	for _, r := range t.rows {
		if r.carrier == carrier && r.mux == mux {
			return r
		}
	}
	r := &row{carrier, mux, make(map[string][]float64)}
	t.rows = append(t.rows, r)
	return r
}

// median returns the middle of values, and how far the others are from it: half
// of the distance between the quarters, as a share of the median.
func median(values []float64) (m, spread float64) {
	if len(values) == 0 {
		return 0, 0
	}
	sorted := slices.Sorted(slices.Values(values))
	at := func(share float64) float64 { return sorted[int(share*float64(len(sorted)-1)+0.5)] }
	m = at(0.5)
	if m != 0 {
		spread = (at(0.75) - at(0.25)) / 2 / m
	}
	return m, spread
}

// ratio returns the median of a row in relation to that of a baseline, or false
// if there is none.
func (t *table) ratio(r *row, unit, carrier, mux string) (float64, bool) {
	for _, base := range t.rows {
		if base.carrier != carrier || base.mux != mux {
			continue
		}
		b, _ := median(base.values[unit])
		m, _ := median(r.values[unit])
		return m / b, b != 0 && len(r.values[unit]) > 0
	}
	return 0, false
}
