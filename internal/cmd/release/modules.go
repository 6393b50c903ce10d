package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// published lists the folders of the published modules. The other modules are for
// development: they have no versions, and no published module may require them.
var published = []string{".", "cluster/natsregistry", "cluster/natsserver", "metrics", "metrics/otel"}

// A module is a module of the repository.
type module struct {
	dir string // relative to the root, which is "."

	// The content of go.mod, as go mod edit -json prints it.
	Module  struct{ Path string }
	Go      string
	Require []struct{ Path, Version string }
	Replace []struct {
		Old, New struct{ Path, Version string }
	}
}

func (m module) isPublished() bool { return slices.Contains(published, m.dir) }

// tag returns the tag for a version of m.
func (m module) tag(version string) string { return path.Join(m.dir, version) }

// find returns the modules in root, the root module first.
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

// byPath returns the module with the given path.
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

var (
	semantic = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)
	pseudo   = regexp.MustCompile(`\d{14}-[0-9a-f]{12}$`) // of a commit, or a placeholder
)

// isVersion reports whether v can be a release. From v2 on, module paths would have to
// contain the major version.
func isVersion(v string) bool {
	return semantic.MatchString(v) && !pseudo.MatchString(v) && (strings.HasPrefix(v, "v0.") || strings.HasPrefix(v, "v1."))
}

// check returns what is wrong with the go.mod files.
func check(modules []module) error {
	var wrong []error
	last := "" // the version that they require
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
				complain("%s is not published, so users cannot get it", r.Path)
			case !isVersion(r.Version):
				complain("%s %s is not a release", r.Path, r.Version)
			case cmp.Or(last, r.Version) != r.Version:
				complain("%s %s is not the version %s that other modules require", r.Path, r.Version, last)
			case !m.replaces(required):
				complain("%s is not replaced by its folder: development would use the release", r.Path)
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

// replaces reports whether m uses the folder of other, whatever version it requires.
func (m module) replaces(other module) bool {
	return slices.ContainsFunc(m.Replace, func(r struct {
		Old, New struct{ Path, Version string }
	}) bool {
		return r.Old.Path == other.Module.Path && r.Old.Version == "" && path.Join(m.dir, r.New.Path) == other.dir
	})
}
