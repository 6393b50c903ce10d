package main

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"image/color"
	"regexp"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A figure is a plot with a caption.
type figure interface {
	Caption() string
	Note() string
	draw(theme) ([]byte, error) // as SVG
}

// A theme is the colours of a page.
type theme struct {
	name             string
	text, page, line color.RGBA
}

var (
	light = theme{"light", color.RGBA{0x1f, 0x23, 0x28, 0xff}, color.RGBA{0xff, 0xff, 0xff, 0xff}, color.RGBA{0xd8, 0xde, 0xe4, 0xff}}
	dark  = theme{"dark", color.RGBA{0xe6, 0xed, 0xf3, 0xff}, color.RGBA{0x0d, 0x11, 0x17, 0xff}, color.RGBA{0x30, 0x36, 0x3d, 0xff}}
)

// The width is half of a page, a little more than a phone's, so that letters have the
// size of the text around the plot.
const (
	plotWidth  = vg.Length(340)
	whiskerCap = vg.Length(4)
	fontSize   = 9
)

// newPlot returns a plot without decoration, in the colours of a theme.
func newPlot(t theme) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil // the page's own
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Tick.Label.Font = letters
		axis.Tick.Label.Color = t.text
		axis.Tick.LineStyle.Color = t.line
		axis.LineStyle.Color = t.line
		axis.Label.TextStyle.Font = letters
		axis.Label.TextStyle.Color = t.text
		axis.Padding = 0
	}
	return p
}

func gridLine(t theme) draw.LineStyle {
	return draw.LineStyle{Color: t.line, Width: 0.5}
}

var letters = font.Font{Typeface: "Liberation", Variant: "Sans", Size: fontSize}

func textStyle(t theme) text.Style {
	return text.Style{Color: t.text, Font: letters, Handler: plot.DefaultTextHandler}
}

// toSVG lets fill draw on a canvas of a size, and returns it as an SVG element
// that scales.
func toSVG(width, height vg.Length, fill func(draw.Canvas)) ([]byte, error) {
	c := vgsvg.NewWith(vgsvg.UseWH(width, height))
	fill(draw.New(c))
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return nil, err
	}
	// The prolog is for a file of its own.
	start := bytes.Index(b.Bytes(), []byte("<svg"))
	if start < 0 {
		return nil, errors.New("the plotting library drew no svg element")
	}
	return fitText(b.Bytes()[start:]), nil
}

var textElement = regexp.MustCompile(`<text ([^>]*)>([^<]*)</text>`)

// fitText makes browsers fit every text into its measured width: they may not have the
// font with which it was measured.
func fitText(svg []byte) []byte {
	face := font.DefaultCache.Lookup(letters, fontSize)
	return textElement.ReplaceAllFunc(svg, func(element []byte) []byte {
		m := textElement.FindSubmatch(element)
		width := face.Width(html.UnescapeString(string(m[2])))
		return fmt.Appendf(nil, `<text textLength="%.1f" lengthAdjust="spacingAndGlyphs" %s>%s</text>`, width, m[1], m[2])
	})
}
