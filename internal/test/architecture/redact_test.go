package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// said are the fields and methods whose values come from a peer, or may hold a secret.
var said = []string{
	"Body", "ErrorMessage", "EscapedPath", "Header", "Host", "Message", "Method", "Path", "Proto", "RawPath", "RawQuery",
	"Reason", "RequestURI", "Subject", "URL", "User",
}

// unredacted returns what file puts unchanged into an error or a log, although it comes
// from a peer or may hold a secret, and calls whose errors or logs do that.
func unredacted(file *ast.File) (found []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		f, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, _ := f.X.(*ast.Ident)
		switch {
		case f.Sel.Name == "Redacted", // which shows the user
			pkg != nil && pkg.Name == "url" && (f.Sel.Name == "Parse" || f.Sel.Name == "ParseRequestURI"),
			pkg != nil && pkg.Name == "slog" && f.Sel.Name == "NewLogLogger":
			found = append(found, f.Sel.Name)
		case makesText(pkg, f.Sel.Name):
			for _, arg := range call.Args {
				found = append(found, saidIn(arg)...)
			}
		}
		return true
	})
	return found
}

// makesText reports whether a function makes an error or a log from its arguments.
func makesText(pkg *ast.Ident, name string) bool {
	if pkg != nil && (pkg.Name == "fmt" || pkg.Name == "errors" || pkg.Name == "log") {
		return slices.Contains([]string{"Errorf", "Sprintf", "Sprint", "Fprintf", "New", "Print", "Printf"}, name)
	}
	return slices.Contains([]string{"Debug", "Info", "Warn", "Error", "Log", "With"}, name)
}

// saidIn returns which parts of [said] an expression passes on unchanged.
func saidIn(arg ast.Expr) (found []string) {
	ast.Inspect(arg, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.SelectorExpr); ok {
				if pkg, ok := f.X.(*ast.Ident); ok && pkg.Name == "redact" {
					return false
				}
			}
		case *ast.SelectorExpr:
			if slices.Contains(said, n.Sel.Name) {
				found = append(found, n.Sel.Name)
			}
		}
		return true
	})
	return found
}

// mayShow reports whether file, which is not a test, may do without package redact.
func mayShow(file, what string) bool {
	switch {
	case strings.HasPrefix(file, "redact/"), strings.HasPrefix(file, "examples/"), isForTests(file):
		return true
	case what == "Parse", what == "ParseRequestURI": // for errors that nobody sees
		return file == "fleet/target.go" || file == "fleet/location.go" || file == "internal/origin/origin.go" || file == "carrier/mem/dial.go"
	}
	return false
}

// TestRedacted expects that only package redact shows URLs, and what peers say.
func TestRedacted(t *testing.T) {
	eachFile(t, func(name string, file *ast.File) {
		for _, what := range unredacted(file) {
			if !mayShow(name, what) {
				t.Errorf("%s: %s becomes a part of an error or a log: show it with package redact", name, what)
			}
		}
	})
}

func TestUnredacted(t *testing.T) {
	const source = `package p
func f(r *http.Request, e *quic.ApplicationError) {
	u, err := url.Parse(address)
	fmt.Errorf("%s: %w", r.URL.Path, err)
	fmt.Errorf("%q: %s", r.Header.Get("Origin"), redact.Quote(e.ErrorMessage))
	logger.Warn("refused", "host", r.Host, "path", redact.Text(r.URL.Path))
	fmt.Errorf("proxy %s: %d", u.Redacted(), r.StatusCode)
	use(r.URL, slog.NewLogLogger(h, level))
}`
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Parse", "Path", "URL", "Header", "Host", "Redacted", "NewLogLogger"}
	if got := unredacted(file); !slices.Equal(got, want) {
		t.Errorf("unredacted: %v, want %v", got, want)
	}
}
