// Package ci tests what CI runs beside tests.
package ci

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/backdial/backdial/internal/test/long"
)

// root is the root's module, relative to this package.
const root = "../../.."

// small returns a repository of two small modules that are released together, with the Makefile and
// the scripts of this one. To look at all that this one exports or calls takes minutes, and a test
// of the scripts has no need of that.
func small(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, ".ci"), os.DirFS(filepath.Join(root, ".ci"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Makefile", "go.mod", "go.sum"} {
		write(t, dir, name, read(t, name))
	}
	write(t, dir, "metrics/go.mod", "module github.com/backdial/backdial/metrics\n\ngo 1.26.0\n\n"+
		"require github.com/backdial/backdial v0.1.0\n\nreplace github.com/backdial/backdial => ../\n")
	write(t, dir, "metrics/metrics.go", "package metrics\n\nimport _ \"github.com/backdial/backdial/redact\"\n")
	write(t, dir, "redact/redact.go", "package redact\n")
	write(t, dir, "internal/unseen.go", "package internal\n\nfunc Unseen() {}\n")
	write(t, dir, "internal/cmd/release/main.go", "package main\n\nimport \"os\"\n\nfunc main() { os.Stdout.WriteString(\".\\nmetrics\\n\") }\n")
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		t.Setenv("GIT_"+who+"_NAME", "maintainer")
		t.Setenv("GIT_"+who+"_EMAIL", "maintainer@example.org")
	}
	do(t, dir, "git", "init", "--quiet")
	commit(t, dir)
	return dir
}

// commit commits all that is in dir.
func commit(t *testing.T, dir string) {
	t.Helper()
	do(t, dir, "git", "add", "--all")
	do(t, dir, "git", "commit", "--quiet", "--message", "change")
}

// run returns what a command prints, and whether it has succeeded.
func run(t *testing.T, dir, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { // of a make that runs this test
		return strings.HasPrefix(v, "MAKEFLAGS=") || strings.HasPrefix(v, "MAKELEVEL=") || strings.HasPrefix(v, "MFLAGS=")
	})
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// do is run for a command that has to succeed.
func do(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	out, err := run(t, dir, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, args, err, out)
	}
	return out
}

// write writes a file below dir, and returns its name.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// expect expects lines in what a command has printed.
func expect(t *testing.T, out string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+out, "\n"+line) {
			t.Errorf("%q has no line that begins with %q", out, line)
		}
	}
}

// TestAPI changes what two modules export, after a release.
func TestAPI(t *testing.T) {
	long.Only(t)
	dir := small(t)
	expect(t, do(t, dir, "make", "-s", "api"), "api: there is no release yet")

	const file = "redact/changed.go"
	write(t, dir, file, "package redact\n\nfunc Stays() {}\n\nfunc Changes(int) {}\n\nfunc Goes() {}\n")
	commit(t, dir)
	for _, tag := range []string{"v0.1.0", "metrics/v0.1.0", "metrics/v0.0.9", "gone/v0.1.0"} {
		do(t, dir, "git", "tag", tag)
	}
	expect(t, do(t, dir, "make", "-s", "api"),
		"api: github.com/backdial/backdial since v0.1.0: no change",
		"api: github.com/backdial/backdial/metrics since v0.1.0: no change",
		"api: gone was released as v0.1.0, and is gone")

	write(t, dir, file, "package redact\n\nfunc Stays() {}\n\nfunc Changes(string) {}\n\nfunc Comes() {}\n")
	write(t, dir, "metrics/comes.go", "package metrics\n\nfunc Comes() {}\n")
	expect(t, do(t, dir, "make", "-s", "api"),
		"api: github.com/backdial/backdial since v0.1.0: Incompatible changes:",
		"- ./redact.Changes: changed from func(int) to func(string)",
		"- ./redact.Goes: removed",
		"Compatible changes:\n- ./redact.Comes: added",
		"api: github.com/backdial/backdial/metrics since v0.1.0: Compatible changes:\n- Comes: added")
}

// TestVuln uses a database with a vulnerability, one without, and none.
func TestVuln(t *testing.T) {
	long.Only(t)
	database := func(t *testing.T, fixed string) {
		dir := t.TempDir()
		write(t, dir, "index/db.json", `{"modified":"2026-01-02T03:04:05Z"}`)
		write(t, dir, "index/modules.json", `[{"path":"github.com/gorilla/websocket","vulns":[{"id":"GO-2026-9999","modified":"2026-01-02T03:04:05Z","fixed":"`+fixed+`"}]}]`)
		write(t, dir, "index/vulns.json", `[{"id":"GO-2026-9999","modified":"2026-01-02T03:04:05Z"}]`)
		write(t, dir, "ID/GO-2026-9999.json", `{"schema_version":"1.3.1","id":"GO-2026-9999","modified":"2026-01-02T03:04:05Z","published":"2026-01-02T03:04:05Z",
			"summary":"Upgrade is too friendly","details":"Upgrade is too friendly","affected":[{"package":{"name":"github.com/gorilla/websocket","ecosystem":"Go"},
			"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"`+fixed+`"}]}],
			"ecosystem_specific":{"imports":[{"path":"github.com/gorilla/websocket","symbols":["Upgrader.Upgrade"]}]}}],
			"database_specific":{"url":"https://pkg.go.dev/vuln/GO-2026-9999"}}`)
		t.Setenv("GOVULNDB", "file://"+filepath.ToSlash(dir))
	}
	t.Run("vulnerable", func(t *testing.T) {
		database(t, "99.0.0")
		out, err := run(t, root, "make", "-s", "vuln")
		if err == nil || !strings.Contains(out, "GO-2026-9999") || !strings.Contains(out, "carrier/ws/gorilla.go") {
			t.Errorf("%v: %s, want an error that says who calls it", err, out)
		}
	})
	t.Run("fixed", func(t *testing.T) {
		database(t, "1.0.0")
		expect(t, do(t, small(t), "make", "-s", "vuln"), "vuln: .: No vulnerabilities found.", "vuln: metrics: No vulnerabilities found.")
	})
	t.Run("away", func(t *testing.T) {
		t.Setenv("GOVULNDB", "https://127.0.0.1:1")
		expect(t, do(t, root, "make", "-s", "vuln"), "vuln: SKIPPED, as the database cannot be reached")
		t.Setenv("BACKDIAL_REQUIRE_VULNDB", "1")
		if out, err := run(t, root, "make", "-s", "vuln"); err == nil {
			t.Errorf("it passes: %s", out)
		}
	})
}

// tool matches a program that the go command gets, and its version.
var tool = regexp.MustCompile(`([a-z0-9-]+\.[a-z]+/[\w./-]+)@([\w.-]*)`)

// release matches the version of a release, or of a commit.
var release = regexp.MustCompile(`^v\d+\.\d+\.\d+(-\d{14}-[0-9a-f]{12})?$`)

// TestPinned expects each tool that CI gets to have a version, so that tomorrow's run equals
// today's, and to be in the list of CONTRIBUTING.md.
func TestPinned(t *testing.T) {
	contributing := read(t, "CONTRIBUTING.md")
	tools := 0
	for _, name := range scripts(t) {
		for _, found := range tool.FindAllStringSubmatch(read(t, name), -1) {
			tools++
			if !release.MatchString(found[2]) {
				t.Errorf("%s: %s has no version", name, found[0])
			}
			if !strings.Contains(contributing, found[1]) {
				t.Errorf("%s: CONTRIBUTING.md does not name %s", name, found[1])
			}
		}
		for _, line := range unpinned(read(t, name)) {
			t.Errorf("%s: what %q gets has no version", name, line)
		}
	}
	if tools < 4 {
		t.Errorf("only %d tools were found", tools)
	}
}

// scripts returns the files that CI runs.
func scripts(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, ".ci"))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"Makefile"}
	for _, e := range entries {
		names = append(names, ".ci/"+e.Name())
	}
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// get matches a command that gets a program: by name, which has to have a version, or by a variable.
var get = regexp.MustCompile(`\b(go (run|install|get)|npm (i|install|ci)|npx)( -\S+)*( \S+)?`)

// unpinned returns the commands in a script that get something, and do not say in which version.
func unpinned(script string) (commands []string) {
	for _, found := range get.FindAllStringSubmatch(script, -1) {
		what := strings.Trim(found[5], ` "')`)
		switch {
		case strings.HasPrefix(found[1], "go "):
			if strings.HasPrefix(what, "./") || what == "." || strings.HasPrefix(what, "$") || strings.Contains(what, "@") {
				continue // a variable's value has been looked at
			}
		case found[1] == "npm ci": // has a file with versions
			continue
		}
		commands = append(commands, found[0])
	}
	return commands
}

func TestUnpinned(t *testing.T) {
	for script, want := range map[string]int{
		"go run ./internal/cmd/soak -clients 100":                 0,
		"cd bench/report && go run . -x":                          0,
		"go run $(STATICCHECK) ./...":                             0,
		`GOBIN=$tmp go install "$APIDIFF"`:                        0,
		"(cd testdata && npm ci)":                                 0,
		"go run golang.org/x/vuln/cmd/govulncheck ./...":          1,
		"go run -mod=mod golang.org/x/vuln/cmd/govulncheck ./...": 1,
		"npm install @moq/qmux":                                   1,
		"npx prettier":                                            1,
	} {
		if got := unpinned(script); len(got) != want {
			t.Errorf("%q: %q have no version, want %d", script, got, want)
		}
	}
	for _, version := range []string{"latest", "master", "v1", "v1.2", ""} {
		if found := tool.FindStringSubmatch("x = example.org/cmd/tool@" + version); found == nil || release.MatchString(found[2]) {
			t.Errorf("version %q passes", version)
		}
	}
}
