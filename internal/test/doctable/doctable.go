// Package doctable compares what documentation says with what tests expect.
package doctable

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Check looks at the lines of file from one that contains begin to the next empty line.
// It expects a list, or the rows of a table, with exactly these items in any order. Each
// item is a name and a text.
func Check(t *testing.T, file, begin string, items [][2]string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(content), begin)
	if !found {
		t.Fatalf("%s does not contain %q", file, begin)
	}
	got := parse(rest)
	for _, item := range items {
		if !slices.Contains(got, item) {
			t.Errorf("%s, after %q: no item %q: %q", file, begin, item[0], item[1])
		}
	}
	for _, item := range got {
		if !slices.Contains(items, item) {
			t.Errorf("%s, after %q: %q is not what is tested: %q", file, begin, item[0], item[1])
		}
	}
}

// parse returns the items of the list or table at the beginning of text.
func parse(text string) (items [][2]string) {
	text = strings.ReplaceAll(text, "\n//", "\n")
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		name, rest, isItem := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(line, "- "), "| "), ": ")
		switch {
		case strings.HasPrefix(line, "- ") && isItem:
			items = append(items, [2]string{name, rest})
		case strings.HasPrefix(line, "| `"):
			cells := strings.Split(line, " | ")
			items = append(items, [2]string{strings.Trim(cells[0], "|` "), strings.Trim(cells[1], "| ")})
		case strings.HasPrefix(line, "|"): // the head
		case line == "" && len(items) > 0, i > 1 && line != "" && len(items) == 0:
			return items
		case line != "" && len(items) > 0:
			items[len(items)-1][1] += " " + line
		}
	}
	return items
}
