package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// published are the folders of the modules that others use. The other modules are for
// development: they have no versions, and nothing may require them.
var published = []string{".", "cluster/natsregistry", "cluster/natsserver", "metrics", "metrics/otel"}

// A module is one of the repository's.
type module struct {
	dir string // from the root, which is "."

	// What go.mod says, as go mod edit -json prints it.
	Module  struct{ Path string }
	Go      string
	Require []struct{ Path, Version string }
	Replace []struct {
		Old, New struct{ Path, Version string }
	}
}

func (m module) isPublished() bool { return slices.Contains(published, m.dir) }

// tag returns the name under which the go command looks for a version.
func (m module) tag(version string) string { return path.Join(m.dir, version) }

// find returns the modules that there are in root, the root's first.
func find(ctx context.Context, root string) (modules []module, err error) {
	err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "go.mod" {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(name))
		if err != nil {
			return err
		}
		m := module{dir: filepath.ToSlash(dir)}
		text, err := run(ctx, filepath.Dir(name), nil, "go", "mod", "edit", "-json")
		if err != nil {
			return err
		}
		modules = append(modules, m)
		return json.Unmarshal([]byte(text), &modules[len(modules)-1])
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(modules, func(a, b module) int { return cmp.Compare(a.dir, b.dir) })
	if len(modules) == 0 || modules[0].dir != "." {
		return nil, fmt.Errorf("%s is not the folder of the root's module", root)
	}
	return modules, nil
}

// byPath returns the module with a path.
func byPath(modules []module, path string) (module, bool) {
	i := slices.IndexFunc(modules, func(m module) bool { return m.Module.Path == path })
	if i < 0 {
		return module{}, false
	}
	return modules[i], true
}

// inOrder returns the published modules, each after those that it requires.
func inOrder(modules []module) (ordered []module) {
	seen := make(map[string]bool)
	var visit func(m module)
	visit = func(m module) {
		if seen[m.dir] || !m.isPublished() {
			return
		}
		seen[m.dir] = true
		for _, r := range m.Require {
			if required, ok := byPath(modules, r.Path); ok {
				visit(required)
			}
		}
		ordered = append(ordered, m)
	}
	for _, m := range modules {
		visit(m)
	}
	return ordered
}

// A number is a version's: major, minor, patch and release candidate.
type number [4]int

// noCandidate makes a release newer than its candidates.
const noCandidate = math.MaxInt

var form = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-rc\.([1-9]\d*))?$`)

// parse returns the number of a version that a release can have. It refuses all others, such as
// placeholders and those of commits. From v2 on, paths of modules would have to say so.
func parse(version string) (n number, ok bool) {
	fields := form.FindStringSubmatch(version)
	if fields == nil {
		return n, false
	}
	for i, field := range fields[1:] {
		if field == "" {
			n[i] = noCandidate
			continue
		}
		var err error
		if n[i], err = strconv.Atoi(field); err != nil {
			return n, false
		}
	}
	return n, n[0] < 2
}

// newest returns the newest of versions, or "" if none is a release's.
func newest(versions []string) (version string) {
	var most number
	for _, v := range versions {
		if n, ok := parse(v); ok && (version == "" || slices.Compare(n[:], most[:]) > 0) {
			version, most = v, n
		}
	}
	return version
}

// check returns what is wrong with the go.mod of modules.
func check(modules []module) error {
	var wrong []error
	last := "" // the version that all of them require
	isRelease := func(version string) bool { _, ok := parse(version); return ok }
	for _, m := range modules {
		complain := func(format string, args ...any) {
			wrong = append(wrong, fmt.Errorf("%s: %s", path.Join(m.dir, "go.mod"), fmt.Sprintf(format, args...)))
		}
		if want := path.Join(modules[0].Module.Path, m.dir); m.Module.Path != want {
			complain("the module is %s, want %s", m.Module.Path, want)
		}
		for _, r := range m.Require {
			required, ours := byPath(modules, r.Path)
			switch {
			case !ours:
			case !required.isPublished():
				complain("%s is not published, and nobody else can get it", r.Path)
			case !isRelease(r.Version):
				complain("%s %s is not the version of a release", r.Path, r.Version)
			case cmp.Or(last, r.Version) != r.Version:
				complain("%s %s is not the version %s that others require", r.Path, r.Version, last)
			case !m.replaces(required):
				complain("%s is not replaced by its folder: development would use what is released", r.Path)
			default:
				last = r.Version
			}
		}
		for _, r := range m.Replace {
			if replaced, ours := byPath(modules, r.Old.Path); !ours || !m.replaces(replaced) {
				complain("%s is replaced, which has no effect for users", r.Old.Path)
			}
		}
	}
	return errors.Join(wrong...)
}

// replaces reports whether m uses the folder of another module, whatever version it requires.
func (m module) replaces(other module) bool {
	return slices.ContainsFunc(m.Replace, func(r struct {
		Old, New struct{ Path, Version string }
	}) bool {
		return r.Old.Path == other.Module.Path && r.Old.Version == "" && path.Join(m.dir, r.New.Path) == other.dir
	})
}
