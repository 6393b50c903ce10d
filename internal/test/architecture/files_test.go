package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// root is the module's folder, relative to this package.
const root = "../../.."

// eachFile calls f with each non-test Go file of all modules, and its name from the root.
func eachFile(t *testing.T, f func(name string, file *ast.File)) {
	t.Helper()
	eachParsed(t, 0, func(name string, file *ast.File) {
		if !strings.HasSuffix(name, "_test.go") {
			f(name, file)
		}
	})
}

// eachParsed is eachFile with tests too. mode says how much of each it parses.
func eachParsed(t *testing.T, mode parser.Mode, f func(name string, file *ast.File)) {
	t.Helper()
	walk(t, func(name string) {
		if !strings.HasSuffix(name, ".go") {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, mode)
		if err != nil {
			t.Fatal(err)
		}
		f(name, file)
	})
}

// walk calls f with the name of every file, from the root.
func walk(t *testing.T, f func(name string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ = filepath.Rel(root, name)
			f(filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
