package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// powers returns the optional interfaces of streams and connections: those of the
// contracts that embed one, and CloseWriter, which does not. Nothing wraps a StreamConn.
func powers(t *testing.T) []string {
	t.Helper()
	names := append(extensions(t, "mux", "Stream"), extensions(t, "carrier", "Conn")...)
	return append(slices.DeleteFunc(names, func(n string) bool { return n == "StreamConn" }), "CloseWriter")
}

// extensions returns the interfaces of a package that embed one of its interfaces.
func extensions(t *testing.T, pkg, base string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, pkg, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if of, ok := spec.Type.(*ast.InterfaceType); ok && embeds(of, base) {
				names = append(names, spec.Name.Name)
			}
			return false
		})
	}
	return names
}

func embeds(of *ast.InterfaceType, base string) bool {
	return slices.ContainsFunc(of.Methods.List, func(f *ast.Field) bool {
		name, ok := f.Type.(*ast.Ident)
		return ok && len(f.Names) == 0 && name.Name == base
	})
}

// asserted returns the interfaces that file asserts: those in powers, and anonymous ones,
// which tie packages together out of sight.
func asserted(file *ast.File, powers []string) (names []string) {
	note := func(of ast.Expr) {
		switch of := of.(type) {
		case *ast.InterfaceType:
			if len(of.Methods.List) > 0 {
				names = append(names, "interface{…}")
			}
		case *ast.Ident:
			if slices.Contains(powers, of.Name) {
				names = append(names, of.Name)
			}
		case *ast.SelectorExpr:
			if slices.Contains(powers, of.Sel.Name) {
				names = append(names, of.Sel.Name)
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.TypeAssertExpr:
			note(n.Type)
		case *ast.TypeSwitchStmt:
			for _, c := range n.Body.List {
				for _, of := range c.(*ast.CaseClause).List {
					note(of)
				}
			}
		case *ast.IndexExpr: // errors.AsType[T]
			if f, ok := n.X.(*ast.SelectorExpr); ok && f.Sel.Name == "AsType" {
				note(n.Index)
			}
		}
		return true
	})
	return names
}

// mayAssert reports whether file, which is not a test, may assert what of.
func mayAssert(file, of string) bool {
	switch {
	case strings.HasPrefix(file, "internal/powers/"), strings.HasPrefix(file, "examples/"):
		return true
	case strings.HasPrefix(file, "mux/muxtest/"), strings.HasPrefix(file, "carrier/carriertest/"), strings.HasPrefix(file, "internal/test/"):
		return true // the suites find out what there is
	case of == "interface{…}":
		// The standard library has no names for them: what http.ResponseController looks
		// for, and AddrPort of addresses.
		return file == "carrier/mem/response.go" || file == "carrier/webtransport/upgrade.go" || file == "metrics/otel/otel.go"
	}
	return false
}

// TestPowers expects each optional interface to be asserted in only one place, so that
// its wrappers and its users agree.
func TestPowers(t *testing.T) {
	powers, found := powers(t), make(map[string]bool)
	eachFile(t, func(name string, file *ast.File) {
		for _, of := range asserted(file, powers) {
			if strings.HasPrefix(name, "internal/powers/") {
				found[of] = true
			}
			if !mayAssert(name, of) {
				t.Errorf("%s asserts %s: ask package internal/powers, or name the interface beside what implements it", name, of)
			}
		}
	})
	if len(powers) < 7 {
		t.Errorf("only %v are optional", powers)
	}
	for _, of := range powers {
		if !found[of] {
			t.Errorf("package internal/powers does not assert %s", of)
		}
	}
}

func TestAsserted(t *testing.T) {
	const source = `package p
func f(v any, err error) {
	_, _ = v.(mux.Checker)
	_ = v.(interface{ To() int })
	_ = v.(int)
	switch v.(type) {
	case carrier.CloseWriter, *string:
	}
	_, _ = errors.AsType[interface{ error; To() int }](err)
	_ = v.(any)
}`
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Checker", "interface{…}", "CloseWriter", "interface{…}"}
	if got := asserted(file, []string{"Checker", "CloseWriter"}); !slices.Equal(got, want) {
		t.Errorf("asserted: %v, want %v", got, want)
	}
}
