package main

import (
	"slices"

	"gonum.org/v1/plot"
)

// bars show a unit of a table, with a bar for each subject.
type bars struct {
	unit  unit
	rows  []bar
	limit float64 // bars are cut here if they would make the others unreadable
	scale scale   // of the axis
}

type bar struct {
	subject  subject
	estimate estimate
}

func newBars(t *table, u unit) *bars {
	b := &bars{unit: u}
	var ends []float64
	for _, r := range t.rows {
		e := r.values[u.key].estimate()
		b.rows = append(b.rows, bar{r.subject, e})
		ends = append(ends, e.median+e.spread)
	}
	slices.Sort(ends)
	longest := ends[len(ends)-1]
	if b.limit = 2 * quantile(ends, 0.75); b.limit <= 0 || longest <= 2*b.limit {
		b.limit = longest
	}
	b.scale = u.scale(b.limit)
	return b
}

func (b *bars) Caption() string { return b.unit.title }

func (b *bars) Note() string {
	note := b.unit.better()
	if b.scale.name != "" {
		note = "in " + b.scale.name + ", " + note
	}
	if slices.ContainsFunc(b.rows, b.cut) {
		note += "; bars with an arrow go on"
	}
	return note
}

func (b *bars) cut(r bar) bool { return r.estimate.median > b.limit }

func (b *bars) draw(t theme) ([]byte, error) {
	var stripes []stripe
	for _, r := range b.rows {
		s := stripe{name: r.subject.String(), color: r.subject.color(t), label: dash}
		if r.estimate.n > 0 {
			s.label = b.unit.show(r.estimate.median)
		}
		if b.cut(r) {
			s.value, s.label = b.limit, "→ "+s.label
			s.low, s.high = b.limit, b.limit
		} else {
			s.value = r.estimate.median
			s.low, s.high = r.estimate.median-r.estimate.spread, min(r.estimate.median+r.estimate.spread, b.limit)
		}
		for _, v := range []*float64{&s.value, &s.low, &s.high} {
			*v = max(0, *v/b.scale.factor)
		}
		stripes = append(stripes, s)
	}
	return drawStripes(t, stripes, func(p *plot.Plot) {
		p.X.Min, p.X.Max = 0, b.limit/b.scale.factor
	})
}
