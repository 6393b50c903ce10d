package architecture

import (
	"fmt"
	"go/ast"
	"go/token"
	"net"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/mux"
)

// document returns a file of the documentation, named from the root.
func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(path.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// documents returns README.md and what is in the folder docs, by name.
func documents(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob(path.Join(root, "docs/*.md"))
	if err != nil || len(names) < 10 {
		t.Fatalf("only %q, %v", names, err)
	}
	all := map[string]string{"README.md": document(t, "README.md")}
	for _, name := range names {
		name = "docs/" + filepath.Base(name)
		all[name] = document(t, name)
	}
	return all
}

// says fails t if a file of the documentation does not contain a text, however its lines are
// broken.
func says(t *testing.T, name, want string) {
	t.Helper()
	if !strings.Contains(strings.Join(strings.Fields(document(t, name)), " "), want) {
		t.Errorf("%s does not say %q", name, want)
	}
}

// TestMethods counts the methods, whose numbers the documentation tells.
func TestMethods(t *testing.T) {
	conn := methods[net.Conn]()
	says(t, "docs/backends.md", fmt.Sprintf("a carrier has %d methods, and its connections are a `net.Conn` with %d more",
		methods[carrier.Carrier](), methods[carrier.Conn]()-conn))
	says(t, "docs/backends.md", fmt.Sprintf("A multiplexer has %d methods, its sessions %d, and its streams are a `net.Conn` with %d more",
		methods[mux.Muxer](), methods[mux.Session](), methods[mux.Stream]()-conn))
}

// methods returns how many methods an interface has.
func methods[I any]() int { return reflect.TypeFor[I]().NumMethod() }

// TestLimits compares the limits of a session that the documentation lists with the defaults.
func TestLimits(t *testing.T) {
	limits := mux.Config{}.WithDefaults()
	for field, value := range map[string]string{
		"MaxStreams":    fmt.Sprintf("%d,%03d", limits.MaxStreams/1000, limits.MaxStreams%1000),
		"AcceptBacklog": fmt.Sprint(limits.AcceptBacklog),
		"Window":        fmt.Sprintf("%d KiB", limits.Window>>10),
		"MaxWindow":     fmt.Sprintf("%d MiB", limits.MaxWindow>>20),
		"ReceiveBuffer": fmt.Sprintf("%d MiB", limits.ReceiveBuffer>>20),
	} {
		row := regexp.MustCompile("\\| `" + field + "`: [^|]* \\| ([^|]*) \\|")
		if got := row.FindStringSubmatch(document(t, "docs/operations.md")); got == nil || got[1] != value {
			t.Errorf("%s is %q in docs/operations.md, want %s", field, got, value)
		}
	}
	says(t, "docs/operations.md", fmt.Sprintf("%.0f s + %.0f s", limits.KeepAlive.Seconds(), limits.KeepAliveTimeout.Seconds()))
}

// TestReadmeIsShort keeps the README a page that is read at once.
func TestReadmeIsShort(t *testing.T) {
	if lines := strings.Count(document(t, "README.md"), "\n"); lines > 250 {
		t.Errorf("README.md has %d lines, want 250 at most: the rest belongs to docs", lines)
	}
}

// TestFigures expects that README.md shows figures of docs/speed.md or of the last report.
func TestFigures(t *testing.T) {
	_, section, _ := strings.Cut(document(t, "README.md"), "\n## Speed\n")
	section, _, _ = strings.Cut(section, "\n## ")
	known := document(t, "docs/speed.md") + document(t, "bench/report/RESULTS.md")
	figures := regexp.MustCompile(`\d+\.\d+`).FindAllString(section, -1)
	if len(figures) < 10 {
		t.Errorf("only %q are found", figures)
	}
	for _, figure := range figures {
		if !strings.Contains(known, " "+figure) {
			t.Errorf("README.md says %s, which neither docs/speed.md nor bench/report/RESULTS.md does", figure)
		}
	}
}

// goCommand is a call of the go command in the documentation, perhaps in another folder.
var goCommand = regexp.MustCompile("(?:cd ([\\w./-]+) && )?\\bgo (?:run|build|test)\\b[^`\n&|]*")

// missing returns what the go commands in text name that does not exist.
func missing(text string) (names []string) {
	for _, command := range goCommand.FindAllStringSubmatch(text, -1) {
		for _, arg := range strings.Fields(command[0]) {
			if arg != "." && !strings.HasPrefix(arg, "./") {
				continue
			}
			dir := path.Join(strings.TrimPrefix(command[1], "backdial"), strings.TrimSuffix(arg, "...")) // a clone's
			if files, _ := filepath.Glob(path.Join(root, dir, "*.go")); len(files) == 0 && dir != "." {
				names = append(names, dir)
			}
		}
	}
	return names
}

// TestCommands expects that the folders exist which commands in the documentation name.
func TestCommands(t *testing.T) {
	commands := 0
	for name, text := range documents(t) {
		commands += len(goCommand.FindAllString(text, -1))
		for _, dir := range missing(text) {
			t.Errorf("%s names %s, which has no program", name, dir)
		}
	}
	if commands < 10 {
		t.Errorf("only %d commands are found", commands)
	}
	for text, want := range map[string]int{
		"go run ./examples/echo -serve :8080": 0, "`cd examples/grpc && go run .`": 0, "go test ./...": 0,
		"go run ./examples/eco": 1, "cd examples/nothing && go run .": 1, "go build -o x ./example": 1,
	} {
		if got := missing(text); len(got) != want {
			t.Errorf("missing in %q: %q", text, got)
		}
	}
}

// TestErrors expects that docs/faq.md explains every error that programs can match, with its name
// and its text, and that each text in its headings is one of ours.
func TestErrors(t *testing.T) {
	faq := document(t, "docs/faq.md")
	var literals strings.Builder
	count := 0
	eachFile(t, func(name string, file *ast.File) {
		if isForTests(name) || strings.HasPrefix(name, "internal/") || strings.HasPrefix(name, "examples/") {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				text, _ := strconv.Unquote(l.Value)
				literals.WriteString(text + "\n")
			}
			return true
		})
		for _, sentinel := range sentinels(file) {
			count++
			if short := file.Name.Name + "." + sentinel; !strings.Contains(faq, "`"+short+"`") {
				t.Errorf("docs/faq.md does not explain %s", short)
			}
		}
	})
	if count < 20 {
		t.Errorf("only %d errors are found", count)
	}
	rule, err := os.ReadFile(path.Join(root, "internal/ident/ident.go")) // the text of fleet.ErrInvalidID
	if err != nil {
		t.Fatal(err)
	}
	literals.Write(rule)
	headings := regexp.MustCompile("(?m)^### (`.*`)$").FindAllStringSubmatch(faq, -1)
	if len(headings) < 40 {
		t.Errorf("docs/faq.md has only %d errors and lines of logs", len(headings))
	}
	for _, heading := range headings {
		for _, text := range regexp.MustCompile("`([^`]*)`").FindAllStringSubmatch(heading[1], -1) {
			if !strings.Contains(literals.String(), text[1]) {
				t.Errorf("docs/faq.md explains %q, which nothing says", text[1])
			}
		}
	}
}

// sentinels returns the names of the errors that a file exports as variables.
func sentinels(file *ast.File) (names []string) {
	for _, decl := range file.Decls {
		vars, ok := decl.(*ast.GenDecl)
		if !ok || vars.Tok != token.VAR {
			continue
		}
		for _, spec := range vars.Specs {
			for _, name := range spec.(*ast.ValueSpec).Names {
				if strings.HasPrefix(name.Name, "Err") && name.IsExported() {
					names = append(names, name.Name)
				}
			}
		}
	}
	return names
}

// TestExamples expects that README.md names every example.
func TestExamples(t *testing.T) {
	dirs, err := filepath.Glob(path.Join(root, "examples/*"))
	if err != nil || len(dirs) < 8 {
		t.Fatalf("only %q, %v", dirs, err)
	}
	for _, dir := range dirs {
		if name := "examples/" + filepath.Base(dir); !regexp.MustCompile(name + `\b`).MatchString(document(t, "README.md")) {
			t.Errorf("README.md does not name %s", name)
		}
	}
}

// TestPicture expects that the pictures for light and dark pages differ in their colours alone.
func TestPicture(t *testing.T) {
	colours := regexp.MustCompile("#[0-9a-f]{6}")
	light, dark := document(t, "docs/picture-light.svg"), document(t, "docs/picture-dark.svg")
	if light == dark || colours.ReplaceAllString(light, "") != colours.ReplaceAllString(dark, "") {
		t.Error("picture-light.svg and picture-dark.svg show different things, or have the same colours")
	}
}
