package main

import (
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// lines show how a unit grows with the size of something, both on logarithmic axes, with
// a line for each subject.
type lines struct {
	unit  unit
	of    string // what the size counts
	lines []line
}

type line struct {
	subject subject
	points  []point
}

type point struct {
	size     float64
	estimate estimate
}

func newLines(b *benchmark, u unit) *lines {
	l := &lines{unit: u}
	for _, r := range b.tables[len(b.tables)-1].rows {
		one := line{subject: r.subject}
		for _, t := range b.tables {
			size, e := t.size(), t.values(r.subject, u.key).estimate()
			if size > 0 && e.median > 0 { // otherwise it has no place on these axes
				one.points = append(one.points, point{size, e})
				l.of = t.params[0].key
			}
		}
		if len(one.points) > 0 {
			l.lines = append(l.lines, one)
		}
	}
	return l
}

// size is a variant's size, or zero if it has none.
func (t *table) size() float64 {
	if len(t.params) != 1 {
		return 0
	}
	size, err := strconv.ParseFloat(t.params[0].value, 64)
	if err != nil {
		return 0
	}
	return size
}

func (l *lines) Caption() string { return l.unit.title + ", by " + l.of }
func (l *lines) Note() string    { return l.unit.better() }

const (
	linesHeight = vg.Length(220)
	legendStep  = vg.Length(14)
)

func (l *lines) draw(t theme) ([]byte, error) {
	p := newPlot(t)
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker = logTicks(func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) })
	p.Y.Tick.Marker = logTicks(l.unit.show)
	p.Add(&plotter.Grid{Horizontal: gridLine(t)})
	legends := [2]plot.Legend{plot.NewLegend(), plot.NewLegend()}
	for i, one := range l.lines {
		path, marks, err := one.add(p, t)
		if err != nil {
			return nil, err
		}
		legends[i%2].Add(one.subject.String(), path, marks)
	}
	for _, axis := range []*plot.Axis{&p.X, &p.Y} { // keeps points off the edges
		axis.Min, axis.Max = axis.Min/1.1, axis.Max*1.1
	}
	legendHeight := legendStep * vg.Length((len(l.lines)+1)/2)
	return toSVG(plotWidth, linesHeight+legendHeight, func(c draw.Canvas) {
		p.Draw(draw.Crop(c, 0, -8, legendHeight+6, -4))
		for i, legend := range legends {
			legend.Top, legend.Left = true, true
			legend.TextStyle = textStyle(t)
			legend.Padding = 3
			legend.ThumbnailWidth = 24
			left := 24 + vg.Length(i)*plotWidth/2
			legend.Draw(draw.Crop(c, left, 0, 0, -linesHeight))
		}
	})
}

// add draws a line with its points and spreads.
func (l line) add(p *plot.Plot, t theme) (*plotter.Line, *plotter.Scatter, error) {
	var whiskers struct {
		plotter.XYs
		plotter.YErrors
	}
	for _, at := range l.points {
		whiskers.XYs = append(whiskers.XYs, plotter.XY{X: at.size, Y: at.estimate.median})
		// A whisker that reaches zero has no end on this axis.
		spread := min(at.estimate.spread, 0.9*at.estimate.median)
		whiskers.YErrors = append(whiskers.YErrors, struct{ Low, High float64 }{-spread, spread})
	}
	path, marks, err := plotter.NewLinePoints(whiskers.XYs)
	if err != nil {
		return nil, nil, err
	}
	errorBars, err := plotter.NewYErrorBars(whiskers)
	if err != nil {
		return nil, nil, err
	}
	c := l.subject.color(t)
	path.Color, marks.Color, errorBars.Color = c, c, c
	path.Width = 1.5
	path.Dashes = l.subject.dashes()
	marks.Shape = l.subject.mark()
	marks.Radius = 2.5
	errorBars.CapWidth = whiskerCap
	p.Add(path, errorBars, marks)
	return path, marks, nil
}

// logTicks puts ticks at 1, 10, 100 and so on, and at 2 and 5 times those if there would
// be few.
type logTicks func(float64) string

func (show logTicks) Ticks(low, high float64) []plot.Tick {
	steps := []float64{1}
	if high/low < 100 {
		steps = []float64{1, 2, 5}
	}
	var ticks []plot.Tick
	for decade := math.Pow(10, math.Floor(math.Log10(low))); decade <= high; decade *= 10 {
		for _, step := range steps {
			ticks = append(ticks, plot.Tick{Value: step * decade, Label: show(step * decade)})
		}
	}
	return ticks
}
