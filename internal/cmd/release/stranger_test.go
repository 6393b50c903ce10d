package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/long"
)

// TestThisRepository makes a release of a copy of what is committed here.
func TestThisRepository(t *testing.T) {
	long.Only(t)
	leak.Check(t)
	dir := cloned(t)
	if err := release(t.Context(), dir, "v0.999.0", t.Output()); err != nil {
		t.Fatal(err)
	}
}

// cloned returns a copy of what is committed in this repository.
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
