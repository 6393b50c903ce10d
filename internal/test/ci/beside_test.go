package ci

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TestBeside makes targets of which one fails, and one needs another to run at the same time.
func TestBeside(t *testing.T) {
	for _, tool := range []string{"bash", "make", "mkfifo", "xargs"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	beside, err := filepath.Abs(filepath.Join(root, ".ci/beside"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, "Makefile", `one: ; @echo begun; mkfifo pipe; cat pipe
two: ; @until test -p pipe; do :; done; echo over >pipe
broken: ; @echo snap; false
says: ; @echo $(WORD)
`)
	out, err := run(t, dir, beside, "broken", "one", "two", "says WORD=said")
	if err == nil {
		t.Error("it passes")
	}
	expect(t, out, "+ make broken\nsnap", "+ make one\nbegun\nover\n+ make one: ", "+ make two\n", "said\n+ make says WORD=said: ")
	if out, err := run(t, dir, beside, "says WORD=well"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
