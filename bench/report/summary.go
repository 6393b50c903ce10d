package main

import (
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/plot"
)

// A comparison compares ws+qmux, which most users will use, with its ancestor wslis.
type comparison struct {
	what      string
	unit      unit
	base, own estimate
	gain      estimate // how many times as good own is
}

// gainOver returns how many times as good own is as base, in each repeat.
func gainOver(own, base series, u unit) series {
	if u.higherIsBetter() {
		return own.over(base)
	}
	return base.over(own)
}

// comparisons returns the comparisons that matter most: of sizes only the largest, and no
// 99th percentiles.
func comparisons(r *results) []comparison {
	var all []comparison
	for _, b := range r.benchmarks {
		tables := b.tables
		if b.scales() {
			tables = tables[len(tables)-1:]
		}
		for _, t := range tables {
			for _, u := range unitsOf(t.units) {
				base, own := t.values(wslis, u.key), t.values(wsQMux, u.key)
				gain := gainOver(own, base, u).estimate()
				if u.side || u.key == "p99-ns" || gain.n == 0 {
					continue
				}
				what := b.title()
				for _, more := range []string{t.title(), u.title} {
					if more != "" && !strings.EqualFold(more, b.title()) {
						what += ", " + more
					}
				}
				all = append(all, comparison{what, u, base.estimate(), own.estimate(), gain})
			}
		}
	}
	return all
}

// verdict judges a gain only where repeats show how far to trust it.
func verdict(gain estimate) string {
	switch {
	case gain.n < 3:
		return dash
	case gain.median-gain.spread <= 1 && 1 <= gain.median+gain.spread:
		return "the same"
	case gain.median > 1:
		return "better"
	}
	return "worse"
}

// summarize returns nil if there is nothing to compare.
func summarize(r *results) *part {
	all := comparisons(r)
	if len(all) == 0 {
		return nil
	}
	g := grid{Head: []string{"", wslis.String(), wsQMux.String(), "times as good", "verdict"}}
	for _, c := range all {
		g.Rows = append(g.Rows, gridRow{Cells: []string{c.what, c.base.text(c.unit.show),
			c.own.text(c.unit.show), c.gain.text(digits), verdict(c.gain)}})
	}
	return &part{
		Title: fmt.Sprintf("%s beside %s", wsQMux, wslis),
		Plots: []figure{gains(all)},
		Table: g,
	}
}

// gains show the factors by which comparisons are better, to the right, or worse, to the
// left.
type gains []comparison

func (gains) Caption() string {
	return fmt.Sprintf("how many times as good %s is as %s", wsQMux, wslis)
}
func (gains) Note() string { return "less than 1 is worse" }

func (g gains) draw(t theme) ([]byte, error) {
	var stripes []stripe
	low, high := -1.0, 1.0
	for _, c := range g {
		// A spread of all there is has no end on this axis.
		spread := min(c.gain.spread, 0.9*c.gain.median)
		s := stripe{
			name:  c.what,
			value: math.Log2(c.gain.median),
			label: digits(c.gain.median),
			color: carriers[wsQMux.carrier],
			low:   math.Log2(c.gain.median - spread),
			high:  math.Log2(c.gain.median + spread),
		}
		if s.value < 0 {
			s.color = blend(t.text, t.page, 0.55)
		}
		low, high = min(low, s.low), max(high, s.high)
		stripes = append(stripes, s)
	}
	return drawStripes(t, stripes, func(p *plot.Plot) {
		p.X.Min, p.X.Max = low, high
		p.X.Tick.Marker = plot.TickerFunc(powersOfTwo)
	})
}

// powersOfTwo are ticks on an axis of binary logarithms.
func powersOfTwo(low, high float64) []plot.Tick {
	step := max(1, math.Ceil((high-low)/6))
	var ticks []plot.Tick
	for at := step * math.Ceil(low/step); at <= high; at += step {
		label := fmt.Sprintf("%g", math.Exp2(at))
		if at < 0 {
			label = fmt.Sprintf("1/%g", math.Exp2(-at))
		}
		ticks = append(ticks, plot.Tick{Value: at, Label: label})
	}
	return ticks
}
