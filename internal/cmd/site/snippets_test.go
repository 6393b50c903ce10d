package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	markdownast "github.com/yuin/goldmark/ast"
)

// given is what snippets use without a declaration. A snippet may declare the same names.
const given = `
import wslis "github.com/backdial/backdial/transport"

var (
	authority    *x509.CertPool
	authorize    func(*http.Request) error
	certificate  tls.Certificate
	clients      *fleet.Fleet
	config       *tls.Config
	ctx          context.Context
	dialer       *transport.Dialer
	freshToken   func(context.Context) (string, error)
	handler      transport.EndpointHandler
	header       http.Header
	identify     fleet.Identify
	mine         carrier.Carrier
	myMux        mux.Muxer
	replica      *cluster.Cluster
	server       *transport.Server
	target       carriertest.Target
	tokenIsValid func(authorization, id string) bool
	url          string
	web          *http.Server

	s struct { // of examples/deploy
		devices       *transport.Server
		web           *http.Server
		stopListening func()
	}
)
`

// TestSnippets compiles every snippet of Go in README.md and docs. Of a diff it compiles the new
// code.
func TestSnippets(t *testing.T) {
	pages, err := read(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	check := newChecker(t)
	count := 0
	for name, p := range pages {
		if name != "README.md" && path.Dir(name) != "docs" {
			continue
		}
		for _, s := range snippets(p) {
			count++
			if err := check(s.code); err != nil {
				t.Errorf("%s:%d: %v", name, s.line, err)
			}
		}
	}
	if count < 25 {
		t.Errorf("only %d snippets are found", count)
	}
}

// TestFaultySnippets expects that the checker finds what is wrong.
func TestFaultySnippets(t *testing.T) {
	check := newChecker(t)
	for code, want := range map[string]string{
		"lis, err := transport.DialAndListen(url, header)": "",
		"\t\"github.com/backdial/backdial/fleet\"\n":       "",
		"\t\"github.com/backdial/backdial/fleeet\"\n":      "not among the packages",
		"lis, err := transport.DialAndListn(url, header)":  "undefined",
		"transport.NewServer(handler, fleet.New)":          "cannot use",
		"conn, err := nobody.Dial()":                       "undefined",
		"if true {":                                        "expected",
		"package main\n\nfunc main() { x() }\n":            "undefined",
		"func f(d *transport.Dialer) int { return d }":     "cannot use",
	} {
		if err := check(code); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: error %v, want %q", code, err, want)
		}
	}
}

// A snippet is a block of Go on a page.
type snippet struct {
	line int
	code string
}

// snippets returns those of a page.
func snippets(p *page) (all []snippet) {
	p.walk(func(n markdownast.Node) {
		block, ok := n.(*markdownast.FencedCodeBlock)
		if !ok {
			return
		}
		code := string(block.Lines().Value(p.source))
		switch string(block.Language(p.source)) {
		case "diff":
			code = changed(code)
		case "go":
		default:
			return
		}
		all = append(all, snippet{1 + bytes.Count(p.source[:block.Lines().At(0).Start], []byte("\n")), code})
	})
	return all
}

// changed returns the new code of a diff.
func changed(diff string) string {
	var b strings.Builder
	for line := range strings.Lines(diff) {
		if !strings.HasPrefix(line, "-") {
			b.WriteString(line[1:])
		}
	}
	return b.String()
}

// newChecker returns a function that type-checks a snippet.
func newChecker(t *testing.T) func(code string) error {
	t.Helper()
	fset := token.NewFileSet()
	importer := importer.ForCompiler(fset, "gc", exports(t))
	return func(code string) error {
		file, err := parseSnippet(fset, code)
		if err != nil {
			return err
		}
		var wrong []error
		config := types.Config{Importer: importer, Error: func(err error) {
			// A snippet does not use all that it declares, which is a soft error.
			if e := err.(types.Error); !e.Soft {
				wrong = append(wrong, errors.New(e.Msg))
			}
		}}
		config.Check("snippet", fset, []*ast.File{file}, nil)
		return errors.Join(wrong...)
	}
}

// parseSnippet makes a file of a snippet: a file already, imports, declarations, or statements.
func parseSnippet(fset *token.FileSet, code string) (*ast.File, error) {
	if strings.HasPrefix(code, "package ") {
		return parser.ParseFile(fset, "", code, 0)
	}
	if file, err := parser.ParseFile(fset, "", "package snippet\nimport (\n"+code+"\n)\n", 0); err == nil {
		return file, nil
	}
	imports, err := imported()
	if err != nil {
		return nil, err
	}
	var head strings.Builder
	head.WriteString("package snippet\n")
	for _, pkg := range imports {
		fmt.Fprintf(&head, "import %q\n", pkg)
	}
	head.WriteString(given)
	if file, err := parser.ParseFile(fset, "", head.String()+code, 0); err == nil {
		return file, nil
	}
	return parser.ParseFile(fset, "", head.String()+"func _() error {\n"+code+"\nreturn nil\n}\n", 0)
}

// imported returns the packages that imports_test.go imports.
func imported() (packages []string, err error) {
	file, err := parser.ParseFile(token.NewFileSet(), "imports_test.go", nil, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	for _, spec := range file.Imports {
		pkg, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		packages = append(packages, pkg)
	}
	return packages, nil
}

// exports returns a function that opens the export data of the packages that snippets import.
func exports(t *testing.T) importer.Lookup {
	t.Helper()
	imports, err := imported()
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}}={{.Export}}"}, imports...)
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Stderr = new(bytes.Buffer)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, cmd.Stderr)
	}
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		pkg, file, _ := strings.Cut(strings.TrimSpace(line), "=")
		files[pkg] = file
	}
	return func(pkg string) (io.ReadCloser, error) {
		if files[pkg] == "" {
			return nil, fmt.Errorf("package %s is not among the packages that snippets import", pkg)
		}
		return os.Open(filepath.FromSlash(files[pkg]))
	}
}
