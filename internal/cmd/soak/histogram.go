package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// A histogram shows when clients arrived, row by row, and when they were expected.
type histogram struct {
	row      time.Duration // the time that a row covers
	arrivals []time.Duration
	expected []time.Duration // for any number of clients: only shares are compared
	stall    time.Duration   // how long nothing could happen
}

// row returns the length of a row if 30 rows cover all. A shorter row would show what
// else the machine was busy with.
func row(all time.Duration) time.Duration {
	return max((all / 30).Round(100*time.Millisecond), 500*time.Millisecond)
}

// counts returns how many clients arrived in each row, and how many were expected.
func (h histogram) counts() (arrived, expected []float64) {
	last := 0
	for _, at := range append(h.arrivals[:len(h.arrivals):len(h.arrivals)], h.expected...) {
		last = max(last, h.rowOf(at))
	}
	arrived, expected = make([]float64, last+1), make([]float64, last+1)
	for _, at := range h.arrivals {
		arrived[h.rowOf(at)]++
	}
	for _, at := range h.expected {
		expected[h.rowOf(at)] += float64(len(h.arrivals)) / float64(len(h.expected))
	}
	return arrived, expected
}

func (h histogram) rowOf(at time.Duration) int { return max(int(at/h.row), 0) }

// barWidth is the length of the longest bar.
const barWidth = 50

func (h histogram) write(w io.Writer) {
	arrived, expected := h.counts()
	most := max(greatest(arrived), greatest(expected), 1)
	fmt.Fprintf(w, "%9s  %7s  %8s\n", "after", "clients", "expected")
	for i := range arrived {
		bar := []rune(strings.Repeat("█", barLength(arrived[i], most)))
		if mark := barLength(expected[i], most); mark < len(bar) {
			bar[mark] = '│'
		} else {
			bar = append(bar, []rune(strings.Repeat(" ", mark-len(bar))+"│")...)
		}
		fmt.Fprintf(w, "%9v  %7.0f  %8.1f  %s\n", time.Duration(i)*h.row, arrived[i], expected[i], string(bar))
	}
	fmt.Fprintf(w, "\nAt most %.0f in a row, where %.0f are allowed; the process stood still for %v.\n",
		greatest(arrived), h.bound(expected), h.stall.Round(time.Millisecond))
}

func barLength(n, most float64) int { return int(math.Round(n / most * barWidth)) }

func greatest(all []float64) (most float64) {
	for _, n := range all {
		most = max(most, n)
	}
	return most
}

// How many clients may arrive in a row: twice as many as in the fullest expected row,
// plus the scatter of small numbers, plus those that a stall before the row has delayed.
const (
	excess       = 2
	excessSigmas = 4
)

// bound is how many clients may arrive in a row.
func (h histogram) bound(expected []float64) float64 {
	most := greatest(expected)
	return (excess*most + excessSigmas*math.Sqrt(most)) * (1 + h.stall.Seconds()/h.row.Seconds())
}

// err names a row in which too many clients arrived, or is nil.
func (h histogram) err() error {
	arrived, expected := h.counts()
	bound := h.bound(expected)
	for i, n := range arrived {
		if n > bound {
			return fmt.Errorf("%.0f of %d clients arrive within %v, after %v: more than %.0f",
				n, len(h.arrivals), h.row, time.Duration(i)*h.row, bound)
		}
	}
	return nil
}
