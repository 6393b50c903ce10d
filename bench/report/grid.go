package main

// A grid is a table as text. Its first column names the rows.
type grid struct {
	Head []string
	Rows []gridRow
}

type gridRow struct {
	Kind  kind // empty if the row is not a subject
	Cells []string
}

// A column is a unit of a table, or its ratio to a baseline.
type column struct {
	head  string
	table *table
	unit  unit
	base  *subject // nil if the column is not a ratio
}

func (c column) cell(s subject) string {
	values := c.table.values(s, c.unit.key)
	if c.base == nil {
		return values.estimate().text(c.unit.show)
	}
	return values.over(c.table.values(*c.base, c.unit.key)).estimate().text(digits)
}

// ratios returns columns of ratios to the baselines that were measured.
func ratios(t *table, u unit) []column {
	var columns []column
	for _, base := range []subject{tcp, wslis, local, relay, gorillaYamux, gorilla} {
		if len(t.values(base, u.key)) > 0 {
			columns = append(columns, column{"× " + base.String(), t, u, &base})
		}
	}
	return columns
}

func (t *table) grid() grid {
	var columns []column
	for _, u := range unitsOf(t.units) {
		columns = append(columns, column{head: u.title, table: t, unit: u})
		if !u.side {
			columns = append(columns, ratios(t, u)...)
		}
	}
	return newGrid(t.rows, columns)
}

func newGrid(rows []*row, columns []column) grid {
	g := grid{Head: []string{""}}
	for _, c := range columns {
		g.Head = append(g.Head, c.head)
	}
	for _, r := range rows {
		cells := []string{r.subject.String()}
		for _, c := range columns {
			cells = append(cells, c.cell(r.subject))
		}
		g.Rows = append(g.Rows, gridRow{r.subject.kind(), cells})
	}
	return g
}
