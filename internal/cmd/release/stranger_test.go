package main

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/long"
)

// TestThisRepository makes a release of a copy of this repository's last commit, after another release.
func TestThisRepository(t *testing.T) {
	long.Only(t)
	leak.Check(t)
	dir := cloned(t)
	text, err := os.ReadFile(filepath.Join(dir, "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	// A copy may have been made without tags.
	if last := newest(headings(string(text))); last != "" && do(t, dir, "tag", "--list", last) == "" {
		do(t, dir, "tag", last)
	}
	for _, m := range published {
		do(t, dir, "tag", path.Join(m, "v0.998.0"))
	}
	change(t, dir)
	if err := release(t.Context(), dir, "v0.999.0", t.Output()); err != nil {
		t.Fatal(err)
	}
}

// change commits a change that a release can tell of.
func change(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, "CHANGELOG.md", strings.Replace(string(text), "\n## Unreleased\n", "\n## Unreleased\n\n- It changes.\n", 1))
	commit(t, dir)
}

// cloned returns a copy of this repository's last commit.
func cloned(t *testing.T) (dir string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
		t.Skip("this is no checkout:", err)
	}
	dir = t.TempDir()
	// Git copies the folder of another user only if the settings of this machine say so.
	do(t, root, "clone", "--quiet", ".", dir)
	configure(t)
	return dir
}
