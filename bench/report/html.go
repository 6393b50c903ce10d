package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{"drawings": drawings}).Parse(pageText))

// html writes the document as one self-contained page.
func (d *document) html() ([]byte, error) {
	var b bytes.Buffer
	if err := page.Execute(&b, d); err != nil {
		return nil, fmt.Errorf("make the page: %w", err)
	}
	return b.Bytes(), nil
}

// A drawing is a figure in a light and a dark version.
type drawing struct {
	Theme string
	SVG   template.HTML
}

func drawings(f figure) ([]drawing, error) {
	var all []drawing
	for _, t := range []theme{light, dark} {
		svg, err := f.draw(t)
		if err != nil {
			return nil, fmt.Errorf("draw %q: %w", f.Caption(), err)
		}
		all = append(all, drawing{t.name, template.HTML(svg)})
	}
	return all, nil
}
