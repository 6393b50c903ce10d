package architecture_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSecurity expects that the tests that SECURITY.md names exist.
func TestSecurity(t *testing.T) {
	b, err := os.ReadFile("../../../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z0-9/]+)\\.(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(b), -1)
	if len(named) == 0 {
		t.Error("SECURITY.md names no tests")
	}
	for _, name := range named {
		if !hasTest(t, filepath.Join("../../..", name[1]), name[2]) {
			t.Errorf("SECURITY.md names %s.%s, which does not exist", name[1], name[2])
		}
	}
}

// hasTest reports whether the package in dir has a test of this name.
func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "func "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}
