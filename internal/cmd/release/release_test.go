package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
)

// repository is a small library with two published modules, of which the first in the
// alphabet requires the second, and a module for development.
var repository = map[string]string{
	"go.mod":                      "module github.com/example/lib\n\ngo 1.26.0\n",
	"lib.go":                      "package lib\n",
	"secret/s.go":                 "package secret\n",
	".gitignore":                  "secret\n",
	"LICENSE":                     "Do what you like.\n",
	"CHANGELOG.md":                "# Changelog\n\n## Unreleased\n\n- It works.\n\n## v0.1.0, 2026-01-02\n\n- It exists.\n\n## v0.0.1\n\nUntagged.\n",
	"metrics/go.mod":              requiring("metrics", "."),
	"metrics/m.go":                "package metrics\n\nimport _ \"github.com/example/lib\"\n",
	"cluster/natsregistry/go.mod": requiring("cluster/natsregistry", ".", "metrics"),
	"cluster/natsregistry/r.go":   "package natsregistry\n\nimport (\n\t_ \"github.com/example/lib\"\n\t_ \"github.com/example/lib/metrics\"\n)\n",
	"tool/go.mod":                 requiring("tool", "metrics", "."),
	"tool/t.go":                   "package main\n\nimport _ \"github.com/example/lib/metrics\"\n\nfunc main() {}\n",
}

// requiring returns a go.mod of the module in dir, which requires others at v0.1.0.
func requiring(dir string, others ...string) string {
	text := "module github.com/example/lib/" + dir + "\n\ngo 1.26.0\n"
	for _, other := range others {
		path := strings.TrimSuffix("github.com/example/lib/"+other, "/.")
		folder := strings.Repeat("../", strings.Count(dir, "/")+1) + other
		text += "\nrequire " + path + " v0.1.0\n\nreplace " + path + " => " + strings.TrimSuffix(folder, "/.") + "\n"
	}
	return text
}

// configure makes git work the same on every machine that has it.
func configure(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip(err)
	}
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		t.Setenv("GIT_"+who+"_NAME", "maintainer")
		t.Setenv("GIT_"+who+"_EMAIL", "maintainer@example.org")
	}
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
}

// newRepository commits the files of repository, and releases v0.1.0 of it.
func newRepository(t *testing.T) (dir string) {
	t.Helper()
	configure(t)
	dir = t.TempDir()
	for name, text := range repository {
		put(t, dir, name, text)
	}
	do(t, dir, "init", "--quiet")
	commit(t, dir)
	for _, tag := range []string{"v0.1.0", "metrics/v0.1.0", "cluster/natsregistry/v0.1.0", "v0.1.0-draft", "tool/v0.9.0", "elsewhere/v0.9.0"} {
		do(t, dir, "tag", tag)
	}
	return dir
}

// put writes a file.
func put(t *testing.T, dir, name, text string) {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// do returns the output of git.
func do(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := git(t.Context(), dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// commit commits everything.
func commit(t *testing.T, dir string) {
	t.Helper()
	do(t, dir, "add", "--all")
	do(t, dir, "commit", "--quiet", "--allow-empty", "--message", "change")
}

func TestRelease(t *testing.T) {
	leak.Check(t)
	dir := newRepository(t)
	var said strings.Builder
	if err := release(t.Context(), dir, "v0.2.0", &said); err != nil {
		t.Fatal(err)
	}
	const publish = "git push --atomic origin HEAD v0.2.0 metrics/v0.2.0 cluster/natsregistry/v0.2.0\n"
	if !strings.HasSuffix(said.String(), publish) {
		t.Errorf("it says %q, want it to end with %q", &said, publish)
	}
	for _, tag := range []string{"v0.2.0", "metrics/v0.2.0", "cluster/natsregistry/v0.2.0"} {
		if at, head := do(t, dir, "rev-parse", tag+"^{commit}"), do(t, dir, "rev-parse", "HEAD"); at != head {
			t.Errorf("%s is at %s, want %s", tag, at, head)
		}
	}
	if changed := do(t, dir, "status", "--porcelain"); changed != "" {
		t.Errorf("not committed: %s", changed)
	}
	for _, name := range []string{"metrics", "cluster/natsregistry", "tool"} {
		text, err := os.ReadFile(filepath.Join(dir, name, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "github.com/example/lib v0.2.0") || strings.Contains(string(text), "v0.1.0") {
			t.Errorf("the go.mod of %s is %s", name, text)
		}
	}
	if err := release(t.Context(), dir, "v0.2.0", io.Discard); err == nil || !strings.Contains(err.Error(), "already tagged: cluster/natsregistry/v0.2.0, metrics/v0.2.0, v0.2.0") {
		t.Errorf("once more: %v", err)
	}

	// The next one, beside the tags and the entry of this one.
	changelog, err := os.ReadFile(filepath.Join(dir, "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, "CHANGELOG.md", strings.Replace(string(changelog), "## Unreleased\n", "## Unreleased\n\n- It is new.\n", 1))
	commit(t, dir)
	for _, version := range []string{"v0.2.0-rc.1", "v0.1.9"} {
		if err := release(t.Context(), dir, version, io.Discard); err == nil || !strings.Contains(err.Error(), version+" is not newer than") {
			t.Errorf("%s after v0.2.0: %v", version, err)
		}
	}
	if err := release(t.Context(), dir, "v0.2.1", io.Discard); err != nil {
		t.Error(err)
	}
}

// TestRefused expects a refused release to leave no trace.
func TestRefused(t *testing.T) {
	leak.Check(t)
	const placeholder = "v0.0.0-00010101000000-000000000000"
	metrics := repository["metrics/go.mod"]
	original := newRepository(t)
	for _, test := range []struct {
		name    string
		files   map[string]string // to be committed before
		spoil   func(t *testing.T, dir string)
		version string
		want    string
	}{
		{name: "no version", version: "0.2.0", want: `"0.2.0" is not a version`},
		{name: "v2", version: "v2.0.0", want: "is not a version"},
		{name: "build", version: "v0.2.0+build", want: "is not a version"},
		{name: "pseudo-version", version: placeholder, want: "is not a version"},
		{name: "changed file", spoil: func(t *testing.T, dir string) { put(t, dir, "lib.go", "package lib // changed\n") }, want: "commit these changes first:\nM lib.go"},
		{name: "new file", spoil: func(t *testing.T, dir string) { put(t, dir, "new.go", "package lib\n") }, want: "?? new.go"},
		{name: "new file that settings hide", spoil: func(t *testing.T, dir string) {
			do(t, dir, "config", "status.showUntrackedFiles", "no")
			put(t, dir, "new.go", "package lib\n")
		}, want: "?? new.go"},
		{name: "no branch", spoil: func(t *testing.T, dir string) { do(t, dir, "checkout", "--quiet", "--detach") }, want: "no branch is checked out"},
		{name: "older", version: "v0.0.9", want: "v0.0.9 is not newer than"},
		{name: "candidate of a release", version: "v0.1.0-rc.2", want: "v0.1.0-rc.2 is not newer than"},
		{name: "older than a module's", spoil: func(t *testing.T, dir string) { do(t, dir, "tag", "metrics/v0.10.0") }, version: "v0.9.0", want: "v0.9.0 is not newer than metrics/v0.10.0, which has a tag"},
		{name: "another branch", spoil: func(t *testing.T, dir string) {
			do(t, dir, "checkout", "--quiet", "-b", "fix")
			commit(t, dir)
			do(t, dir, "tag", "v0.1.1")
			do(t, dir, "checkout", "--quiet", "-")
		}, want: "does not contain the last release"},
		{name: "changelog is ahead", files: map[string]string{"CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n- It works.\n\n## v0.2.0, 2026-02-03\n\n- It is new.\n"},
			want: "v0.2.0 is not newer than v0.2.0, which CHANGELOG.md tells of"},
		{name: "tags are missing", files: map[string]string{"CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n- It works.\n\n## v0.1.5, 2026-02-03\n\n- It is new.\n"},
			want: "CHANGELOG.md tells of v0.1.5, which has no tag here"},
		{name: "tag of another module", spoil: func(t *testing.T, dir string) { do(t, dir, "tag", "metrics/v0.2.0") }, want: "already tagged: metrics/v0.2.0"},
		{name: "placeholder", files: map[string]string{"metrics/go.mod": strings.ReplaceAll(metrics, "v0.1.0", placeholder)},
			want: "metrics/go.mod: github.com/example/lib " + placeholder + " is not the version of a release"},
		{name: "two versions", files: map[string]string{"metrics/go.mod": strings.ReplaceAll(metrics, "v0.1.0", "v0.1.1")}, want: "that others require"},
		{name: "no replace", files: map[string]string{"metrics/go.mod": metrics[:strings.Index(metrics, "replace")]}, want: "is not replaced by its folder"},
		{name: "replaced by another folder", files: map[string]string{"metrics/go.mod": strings.ReplaceAll(metrics, "=> ..", "=> ../secret")}, want: "is not replaced by its folder"},
		{name: "fork", files: map[string]string{"go.mod": repository["go.mod"] + "\nreplace example.org/quic => example.org/fork v1.0.0\n"},
			want: "go.mod: example.org/quic is replaced, which has no effect for users"},
		{name: "requires a tool", files: map[string]string{"metrics/go.mod": metrics + "\nrequire github.com/example/lib/tool v0.1.0\n"}, want: "lib/tool is not published"},
		{name: "another path", files: map[string]string{"go.mod": "module github.com/example/other\n\ngo 1.26.0\n"}, want: "the module is github.com/example/lib/"},
		{name: "not tidy", files: map[string]string{"metrics/go.mod": metrics + "\nrequire github.com/example/lib/cluster/natsregistry v0.1.0\n\nreplace github.com/example/lib/cluster/natsregistry => ../cluster/natsregistry\n"}, want: "go mod tidy -diff"},
		{name: "no change", files: map[string]string{"CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n## v0.1.0\n\n- It exists.\n"}, want: "nothing under Unreleased"},
		{name: "headings alone", files: map[string]string{"CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n### metrics\n\n## v0.1.0\n\n- It exists.\n"}, want: "nothing under Unreleased"},
		{name: "no changelog", spoil: func(t *testing.T, dir string) {
			do(t, dir, "rm", "--quiet", "CHANGELOG.md")
			commit(t, dir)
		}, want: "CHANGELOG.md"},
		{name: "no licence", spoil: func(t *testing.T, dir string) {
			do(t, dir, "rm", "--quiet", "LICENSE")
			commit(t, dir)
		}, want: "it has no LICENSE"},
		{name: "commit fails", spoil: func(t *testing.T, dir string) { hook(t, dir, "pre-commit", "exit 1") }, want: "git commit"},
		{name: "large file", files: map[string]string{"report.html": strings.Repeat("x", 300<<10)}, want: "report.html has 300 KiB"},
		{name: "stranger", files: map[string]string{"metrics/m.go": "package metrics\n\nimport _ \"github.com/example/lib/secret\"\n"},
			want: "github.com/example/lib/metrics cannot be used"},
		{name: "second tag fails", spoil: func(t *testing.T, dir string) {
			hook(t, dir, "reference-transaction", "while read -r _ _ ref; do case $ref in refs/tags/metrics/v0.2*) exit 1; esac; done")
		}, want: "git tag --annotate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(original)); err != nil {
				t.Fatal(err)
			}
			for name, text := range test.files {
				put(t, dir, name, text)
			}
			if len(test.files) > 0 {
				commit(t, dir)
			}
			if test.spoil != nil {
				test.spoil(t, dir)
			}
			before := state(t, dir)
			if test.version == "" {
				test.version = "v0.2.0"
			}
			err := release(t.Context(), dir, test.version, io.Discard)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want it to say %q", err, test.want)
			}
			if after := state(t, dir); after != before {
				t.Errorf("it leaves %q, and there was %q", after, before)
			}
		})
	}
}

// TestInterrupted expects that a release leaves no trace if it is interrupted while git has a lock.
func TestInterrupted(t *testing.T) {
	leak.Check(t)
	dir := newRepository(t)
	before := state(t, dir)
	hook(t, dir, "pre-commit", "touch .git/started; until [ -e .git/over ]; do sleep 0.1; done")
	t.Cleanup(func() { put(t, dir, ".git/over", "") })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- release(ctx, dir, "v0.2.0", io.Discard) }()
	await.Until(t, "the hook", func() bool {
		_, err := os.Stat(filepath.Join(dir, ".git/started"))
		return err == nil
	})
	cancel()
	put(t, dir, ".git/over", "") // git waits for its hook
	if err := await.From(t, "the release", done); !errors.Is(err, context.Canceled) && (err == nil || !strings.Contains(err.Error(), "git commit")) {
		t.Errorf("the error is %v", err)
	}
	if after := state(t, dir); after != before {
		t.Errorf("it leaves %q, and there was %q", after, before)
	}
}

// state returns all that a release may change.
func state(t *testing.T, dir string) string {
	t.Helper()
	return do(t, dir, "rev-parse", "--abbrev-ref", "HEAD") + do(t, dir, "rev-parse", "HEAD") +
		do(t, dir, "status", "--porcelain", "--untracked-files=normal") + do(t, dir, "show-ref")
}

// hook makes git run a script.
func hook(t *testing.T, dir, name, script string) {
	t.Helper()
	name = filepath.Join(".git/hooks", name)
	put(t, dir, name, "#!/bin/sh\n"+script+"\n")
	if err := os.Chmod(filepath.Join(dir, name), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestNewest(t *testing.T) {
	for _, test := range []struct {
		versions []string
		want     string
	}{
		{nil, ""},
		{[]string{"v0.1", "0.1.0", "v2.0.0", "v01.0.0", "v0.1.0-draft", "v0.1.0-rc.0", "v0.1.0+build", "v0.0.0-00010101000000-000000000000", "v0.99999999999999999999.0"}, ""},
		{[]string{"v0.9.0", "v0.10.0", "v0.2.9"}, "v0.10.0"},
		{[]string{"v0.9.9", "v1.0.0", "v0.10.0"}, "v1.0.0"},
		{[]string{"v0.2.0-rc.10", "v0.2.0-rc.9"}, "v0.2.0-rc.10"},
		{[]string{"v0.2.0-rc.1", "v0.2.0", "v0.1.9"}, "v0.2.0"},
		{[]string{"v0.2.0", "v0.2.1-rc.1"}, "v0.2.1-rc.1"},
	} {
		if got := newest(test.versions); got != test.want {
			t.Errorf("of %q, %q is the newest, want %q", test.versions, got, test.want)
		}
	}
}

func TestHeaded(t *testing.T) {
	day := time.Date(2026, 11, 30, 23, 0, 0, 0, time.UTC)
	const before, after = "# Changelog\n\n## Unreleased\n\n- It works.\n", "# Changelog\n\n## Unreleased\n\n## v0.2.0, 2026-11-30\n\n- It works.\n"
	if got, err := headed(before, "v0.2.0", day); err != nil || got != after {
		t.Errorf("it is %q, %v, want %q", got, err, after)
	}
	for _, none := range []string{"# Changelog\n", "# Changelog\n\n## Unreleased\n", "# Changelog\n\n## Unreleased\n\n## v0.1.0\n\n- It exists.\n", "# Changelog\n\n## Unreleased\n## v0.1.0\n\n- It exists.\n"} {
		if got, err := headed(none, "v0.2.0", day); err == nil {
			t.Errorf("%q becomes %q", none, got)
		}
	}
}

// TestModules checks the modules of this repository.
func TestModules(t *testing.T) {
	modules, err := find(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	if err := check(modules); err != nil {
		t.Error(err)
	}
	for _, dir := range published {
		if !slices.ContainsFunc(modules, func(m module) bool { return m.dir == dir }) {
			t.Errorf("%s is published, and no module", dir)
		}
	}
}

// root is the folder of this repository's root module, relative to this package.
const root = "../../.."
