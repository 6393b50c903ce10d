package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// A series is the same figure of several repeats.
type series map[int]float64

// An estimate is the median and spread of a series.
type estimate struct {
	median float64
	spread float64 // half of the distance between the quartiles
	n      int     // the number of figures; if 0, there is no median
}

func (s series) estimate() estimate {
	if len(s) == 0 {
		return estimate{}
	}
	sorted := slices.Sorted(maps.Values(s))
	return estimate{quantile(sorted, 0.5), (quantile(sorted, 0.75) - quantile(sorted, 0.25)) / 2, len(sorted)}
}

// quantile interpolates between neighbouring figures.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	low, high := sorted[int(math.Floor(at))], sorted[int(math.Ceil(at))]
	return low + (high-low)*(at-math.Floor(at))
}

// over returns the ratios of s to a baseline, each of two figures of the same repeat, so
// that whatever slows the machine for a while slows both.
func (s series) over(base series) series {
	ratios := make(series)
	for repeat, value := range s {
		if b, ok := base[repeat]; ok && b > 0 {
			ratios[repeat] = value / b
		}
	}
	return ratios
}

// dash stands for a figure that was not measured.
const dash = "–"

// text is the median in the form of show, with its spread.
func (e estimate) text(show func(float64) string) string {
	if e.n == 0 {
		return dash
	}
	text := show(e.median)
	if share := math.Round(100 * e.spread / math.Abs(e.median)); share > 0 && !math.IsInf(share, 0) {
		text += fmt.Sprintf(" ±%.0f%%", share)
	}
	return text
}
