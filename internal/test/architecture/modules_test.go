package architecture

import (
	"go/ast"
	"go/parser"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// folders returns the folders of all modules, from the root, which is ".".
func folders(t *testing.T) (dirs []string) {
	t.Helper()
	walk(t, func(name string) {
		if path.Base(name) == "go.mod" {
			dirs = append(dirs, path.Dir(name))
		}
	})
	return dirs
}

// folderOf returns the module of a file or a package: the innermost whose folder holds
// it.
func folderOf(name string, dirs []string) string {
	for dir := path.Clean(name); dir != "."; dir = path.Dir(dir) {
		if slices.Contains(dirs, dir) {
			return dir
		}
	}
	return "."
}

// isForeignInternal reports whether pkg is internal to another module than file's.
func isForeignInternal(file, pkg string, dirs []string) bool {
	pkg, ours := strings.CutPrefix(pkg, module)
	return ours && slices.Contains(strings.Split(pkg, "/"), "internal") && folderOf(file, dirs) != folderOf(pkg, dirs)
}

// TestInternalOfModules reads the imports of every file, also of tests. A program may use
// different releases of a module and the root module, and go mod tidy looks for what
// tests import.
func TestInternalOfModules(t *testing.T) {
	dirs := folders(t)
	if len(dirs) < 5 {
		t.Fatalf("only %q are modules", dirs)
	}
	eachParsed(t, parser.ImportsOnly, func(name string, file *ast.File) {
		for _, spec := range file.Imports {
			pkg, _ := strconv.Unquote(spec.Path.Value)
			if isForeignInternal(name, pkg, dirs) {
				t.Errorf("%s imports %s, which is internal to another module", name, pkg)
			}
		}
	})
}

func TestIsForeignInternal(t *testing.T) {
	dirs := []string{".", "metrics", "metrics/otel"}
	for _, test := range []struct {
		file, pkg string
		want      bool
	}{
		{"transport/server.go", "internal/origin", false},
		{"metrics/collector.go", "transport", false},
		{"metrics/collector.go", "internal/origin", true},
		{"metrics/collector_test.go", "internal/test/leak", true},
		{"metrics/collector.go", "metrics/internal/words", false},
		{"metrics/otel/otel.go", "metrics/internal/words", true},
		{"mux/qmux/session.go", "mux/internal/life", false},
	} {
		if got := isForeignInternal(test.file, module+test.pkg, dirs); got != test.want {
			t.Errorf("%s imports %s: forbidden %v, want %v", test.file, test.pkg, got, test.want)
		}
	}
}
