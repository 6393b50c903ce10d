package main

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// markdown writes the document in a form that is readable as text too.
func (d *document) markdown() []byte {
	var b bytes.Buffer
	b.WriteString("# Results\n\n")
	if s := d.Standing; s != nil {
		fmt.Fprintf(&b, "%s\n\n", wrap(s.Sentences()))
		s.Table().markdown(&b)
		fmt.Fprintf(&b, "\n%s\n\n", wrap(s.Caveat()))
	}
	fmt.Fprintf(&b, "%s\n\n", wrap(d.Intro()+" Rows in bold are backdial's; those above "+
		"are baselines, those below are peers."))
	fmt.Fprintf(&b, "- made on %s by `%s`\n- %s\n- %s\n", d.Date, d.Command, d.Processor, d.System)
	if len(d.Failures) > 0 {
		b.WriteString("\n## What failed\n\n")
		for _, f := range d.Failures {
			fmt.Fprintf(&b, "- %s\n", f)
		}
	}
	if p := d.Summary; p != nil {
		fmt.Fprintf(&b, "\n## %s\n\n", p.Title)
		p.Table.markdown(&b)
	}
	for _, s := range d.Sections {
		fmt.Fprintf(&b, "\n## %s\n", s.Title)
		if s.Text != "" {
			fmt.Fprintf(&b, "\n%s\n", wrap(s.Text))
		}
		for _, p := range s.Parts {
			if len(p.Table.Rows) == 0 {
				continue
			}
			if p.Title != "" {
				fmt.Fprintf(&b, "\n### %s\n", p.Title)
			}
			if p.Text != "" {
				fmt.Fprintf(&b, "\n%s\n", wrap(p.Text))
			}
			b.WriteByte('\n')
			p.Table.markdown(&b)
		}
	}
	if len(d.Skipped) > 0 {
		b.WriteString("\n## What was not measured\n\n")
	}
	for _, skipped := range d.Skipped {
		fmt.Fprintf(&b, "- %s\n", skipped)
	}
	if len(d.Versions) > 0 {
		b.WriteString("\n## Versions\n\n")
	}
	for _, v := range d.Versions {
		fmt.Fprintf(&b, "- %s\n", v)
	}
	return b.Bytes()
}

// markdown aligns the columns, numbers to the right.
func (g grid) markdown(b *bytes.Buffer) {
	lines := [][]string{g.Head}
	for _, r := range g.Rows {
		cells := append([]string(nil), r.Cells...)
		if r.Kind == ours {
			cells[0] = "**" + cells[0] + "**"
		}
		lines = append(lines, cells)
	}
	widths := make([]int, len(g.Head))
	for _, cells := range lines {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for i, cells := range lines {
		writeCells(b, cells, widths)
		if i == 0 {
			fmt.Fprintf(b, "|%s|", strings.Repeat("-", widths[0]+2))
			for _, w := range widths[1:] {
				fmt.Fprintf(b, "%s:|", strings.Repeat("-", w+1))
			}
			b.WriteByte('\n')
		}
	}
}

func writeCells(b *bytes.Buffer, cells []string, widths []int) {
	for i, cell := range cells {
		padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if i == 0 {
			fmt.Fprintf(b, "| %s%s |", cell, padding)
		} else {
			fmt.Fprintf(b, " %s%s |", padding, cell)
		}
	}
	b.WriteByte('\n')
}

// wrap breaks a paragraph into lines of 80 columns.
func wrap(paragraph string) string {
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(paragraph) {
		n := utf8.RuneCountInString(word)
		switch {
		case column == 0:
		case column+1+n > 80:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}
