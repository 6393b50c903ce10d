package architecture

import (
	"go/ast"
	"go/parser"
	"path"
	"slices"
	"strings"
	"testing"
)

// settings are the structs whose fields users set, and which have numbers or times.
var settings = map[string][]string{
	"mux":       {"Config"},
	"transport": {"AddressLimits", "Backoff"},
}

// TestOptionsRule expects the documentation of every option that sets a number or a time, and
// of every such field of settings, to say what 0 and a negative value mean. The rule is that 0
// means the default, and a negative value that there is no limit, or that something does not
// happen. Each package tests its own options with a table.
func TestOptionsRule(t *testing.T) {
	options := 0
	expect := func(name, what string, docs ...*ast.CommentGroup) {
		options++
		if missing := unsaid(docs...); missing != "" {
			t.Errorf("%s: %s does not say what %s means", name, what, missing)
		}
	}
	eachParsed(t, parser.ParseComments, func(name string, file *ast.File) {
		dir := path.Dir(name)
		if isForTests(name) || strings.HasSuffix(name, "_test.go") || slices.Contains(strings.Split(dir, "/"), "internal") {
			return
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && strings.HasPrefix(d.Name.Name, "With") && slices.ContainsFunc(d.Type.Params.List, isNumber) {
					expect(name, d.Name.Name, d.Doc)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					s, ok := s.(*ast.TypeSpec)
					if !ok || !slices.Contains(settings[dir], s.Name.Name) {
						continue
					}
					for _, f := range s.Type.(*ast.StructType).Fields.List {
						if isNumber(f) && f.Names[0].IsExported() {
							expect(name, s.Name.Name+"."+f.Names[0].Name, d.Doc, f.Doc)
						}
					}
				}
			}
		}
	})
	if options < 20 {
		t.Errorf("only %d options were found", options)
	}
}

// isNumber reports whether a field or parameter is an int or a time.
func isNumber(f *ast.Field) bool {
	switch t := f.Type.(type) {
	case *ast.Ident:
		return t.Name == "int"
	case *ast.SelectorExpr:
		return t.Sel.Name == "Duration"
	}
	return false
}

// unsaid returns the values whose meaning docs do not say.
func unsaid(docs ...*ast.CommentGroup) string {
	text := ""
	for _, d := range docs {
		text += d.Text()
	}
	text = strings.Join(strings.Fields(text), " ")
	var missing []string
	if !strings.Contains(text, "0 means") && !strings.Contains(text, "0 and negative") && !strings.Contains(text, "default") {
		missing = append(missing, "0")
	}
	if !strings.Contains(strings.ToLower(text), "negative") {
		missing = append(missing, "a negative value")
	}
	return strings.Join(missing, " and ")
}

func TestUnsaid(t *testing.T) {
	for doc, want := range map[string]string{
		"X is a time. 0 means 1 s; negative means never.": "",
		"X is a time. 0 and negative mean\n1 s.":          "",
		"X is a time. 0 means 1 s.":                       "a negative value",
		"X is a time. Negative means never.":              "0",
		"X is a time.":                                    "0 and a negative value",
	} {
		var lines []*ast.Comment
		for line := range strings.Lines(doc) {
			lines = append(lines, &ast.Comment{Text: "// " + line})
		}
		if got := unsaid(&ast.CommentGroup{List: lines}); got != want {
			t.Errorf("%q does not say what %q means, want %q", doc, got, want)
		}
	}
}
