package main

import (
	"image/color"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A stripe is a horizontal bar with its name on the left and a label on the
// right.
type stripe struct {
	name, label      string
	value, low, high float64 // low and high are the ends of the whisker
	color            color.Color
}

const (
	stripeStep  = vg.Length(14)
	stripeWidth = vg.Length(9)
	axisHeight  = vg.Length(24)
)

// drawStripes draws stripes from top to bottom. finish is called last.
func drawStripes(t theme, stripes []stripe, finish func(*plot.Plot)) ([]byte, error) {
	p := newPlot(t)
	p.Add(&plotter.Grid{Vertical: gridLine(t)})
	var names []string
	var labels plotter.XYLabels
	var whiskers struct {
		plotter.XYs
		plotter.XErrors
	}
	for _, s := range slices.Backward(stripes) { // the axis begins at the bottom
		at := plotter.XY{X: s.value, Y: float64(len(names))}
		names = append(names, s.name)
		one, err := plotter.NewBarChart(plotter.Values{s.value}, stripeWidth)
		if err != nil {
			return nil, err
		}
		one.Horizontal = true
		one.XMin = at.Y
		one.Color = s.color
		one.LineStyle.Width = 0
		p.Add(one)
		if s.low < s.high {
			whiskers.XYs = append(whiskers.XYs, at)
			whiskers.XErrors = append(whiskers.XErrors, struct{ Low, High float64 }{s.low - s.value, s.high - s.value})
		}
		labels.XYs = append(labels.XYs, plotter.XY{X: max(0, s.high), Y: at.Y})
		labels.Labels = append(labels.Labels, s.label)
	}
	if len(whiskers.XYs) > 0 {
		bars, err := plotter.NewXErrorBars(whiskers)
		if err != nil {
			return nil, err
		}
		bars.LineStyle.Color = t.text
		bars.CapWidth = whiskerCap
		p.Add(bars)
	}
	if err := addLabels(p, t, labels); err != nil {
		return nil, err
	}
	p.NominalY(names...)
	p.Y.Min, p.Y.Max = -0.7, float64(len(names))-0.3
	p.X.LineStyle.Width = 0
	p.X.Tick.Length = 0
	p.Y.Tick.Length = 0
	finish(p)
	return toSVG(plotWidth, stripeStep*vg.Length(len(names))+axisHeight, func(c draw.Canvas) { p.Draw(c) })
}

// addLabels writes labels to the right of points.
func addLabels(p *plot.Plot, t theme, labels plotter.XYLabels) error {
	l, err := plotter.NewLabels(labels)
	if err != nil {
		return err
	}
	for i := range l.TextStyle {
		l.TextStyle[i] = textStyle(t)
		l.TextStyle[i].Color = blend(t.text, t.page, 0.2)
		l.TextStyle[i].YAlign = draw.YCenter
	}
	l.Offset = vg.Point{X: 4, Y: 1}
	p.Add(l)
	return nil
}
