// Licenses writes LICENSES.md, the licences of what programs link that use the published modules:
//
//	go -C internal/licenses run .
//
// It fails if one of them is not among those that are allowed. It is a module of its own for the
// library that knows licences.
package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// root is the repository's, relative to this folder.
const root = "../.."

// allowed are the licences that dependencies may have.
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0"}

// platforms link different things.
var platforms = []string{"linux", "darwin", "windows"}

const head = `# Licences

What a program links that uses the published modules, beside Go's standard library (BSD-3-Clause)
and backdial itself ([MIT](LICENSE)). A program has only the modules of the packages that it
imports. MPL-2.0 covers the files of that library alone: tell those who get the program where to
find their source, with your changes if you have made any. The other licences want their text to go
with the program. It stands in the folder of the module, and ` + "`go list -m -f '{{.Dir}}' module`" + `
prints which that is.

` + "`go -C internal/licenses run .`" + ` writes this page. A test expects that it is current, and that each
licence is one of %s.
`

func main() {
	log.SetFlags(0)
	log.SetPrefix("licenses: ")
	text, err := page()
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "LICENSES.md"), text, 0o644); err != nil {
		log.Fatal(err)
	}
}

// page returns LICENSES.md.
func page() ([]byte, error) {
	var out bytes.Buffer
	fmt.Fprintf(&out, head, strings.Join(allowed[:len(allowed)-1], ", ")+" and "+allowed[len(allowed)-1])
	section := func(title, dir string, packages ...string) error {
		deps, err := dependencies(dir, packages)
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "\n## %s\n\n| module | version | licence |\n|---|---|---|\n", title)
		for _, d := range deps {
			licences, err := d.licences()
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, "| %s | %s | %s |\n", d.path, d.version, strings.Join(licences, ", "))
		}
		return nil
	}
	if err := section("Every program: package transport", root, "./transport"); err != nil {
		return nil, err
	}
	published, err := command(root, nil, "go", "run", "./internal/cmd/release", "-list")
	if err != nil {
		return nil, err
	}
	for folder := range strings.FieldsSeq(published) {
		dir := filepath.Join(root, folder)
		path, err := command(dir, nil, "go", "list", "-m")
		if err != nil {
			return nil, err
		}
		if err := section("Module "+strings.TrimSpace(path), dir, "./..."); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// A dependency is a module that packages link.
type dependency struct {
	path, version string
	dir           string
	folders       []string // of its packages that are linked
}

// dependencies returns what packages of the module in dir link, on any platform.
func dependencies(dir string, packages []string) ([]dependency, error) {
	found := make(map[string]dependency)
	for _, platform := range platforms {
		env := []string{"GOOS=" + platform, "GOARCH=amd64", "CGO_ENABLED=0", "GOWORK=off"}
		const format = `{{with .Module}}{{if not .Replace}}{{if not .Main}}{{.Path}}|{{.Version}}|{{.Dir}}|{{$.Dir}}{{end}}{{end}}{{end}}`
		list, err := command(dir, env, "go", slices.Concat([]string{"list", "-deps", "-f", format}, packages)...)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(list) {
			fields := strings.Split(strings.TrimSpace(line), "|")
			d := found[fields[0]]
			d.path, d.version, d.dir = fields[0], fields[1], fields[2]
			d.folders = append(d.folders, fields[3])
			found[d.path] = d
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b dependency) int { return cmp.Compare(a.path, b.path) }), nil
}

// isLicence matches the names of files with licences.
var isLicence = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)([.-].*)?$`)

// licences returns the licences of a dependency: those of the module, and those that its linked
// packages, or folders above these, have of their own.
func (d dependency) licences() ([]string, error) {
	folders := map[string]bool{d.dir: true}
	for _, folder := range d.folders {
		for ; len(folder) > len(d.dir); folder = filepath.Dir(folder) {
			folders[folder] = true
		}
	}
	all := make(map[string]bool)
	for folder := range folders {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.IsDir() || !isLicence.MatchString(e.Name()) {
				continue
			}
			text, err := os.ReadFile(filepath.Join(folder, e.Name()))
			if err != nil {
				return nil, err
			}
			named, err := classify(text)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %s: %w", d.path, d.version, e.Name(), err)
			}
			for _, licence := range named {
				all[licence] = true
			}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s %s has no licence", d.path, d.version)
	}
	return slices.Sorted(maps.Keys(all)), nil
}

// classify returns the licences in a text, which has to be known and allowed.
func classify(text []byte) (licences []string, err error) {
	coverage := licensecheck.Scan(text)
	for _, m := range coverage.Match {
		if !m.IsURL && !slices.Contains(licences, m.ID) {
			licences = append(licences, m.ID)
		}
	}
	if len(licences) == 0 || coverage.Percent < 75 {
		return nil, fmt.Errorf("%.0f%% of it is known, as %q: read it", coverage.Percent, licences)
	}
	var wrong []error
	for _, licence := range licences {
		if !slices.Contains(allowed, licence) {
			wrong = append(wrong, fmt.Errorf("%s is not allowed", licence))
		}
	}
	return licences, errors.Join(wrong...)
}

// command returns what a command in dir prints.
func command(dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), env...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s in %s: %w: %s", strings.Join(cmd.Args, " "), dir, err, complaints.Bytes())
	}
	return string(out), nil
}
