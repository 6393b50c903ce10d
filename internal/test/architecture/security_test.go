package architecture_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSecurity expects the tests that SECURITY.md names to exist.
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

// attackers are the sections of SECURITY.md, one for each attacker.
var attackers = []string{
	"A hostile client", "A hostile server", "A hostile replica", "A malicious user of the proxy", "Somebody on the way", "Somebody who reads logs",
}

// TestSecurityOfEach expects that in SECURITY.md every promise names a test, and that the section
// of each attacker also says what does not hold.
func TestSecurityOfEach(t *testing.T) {
	b, err := os.ReadFile("../../../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, attacker := range attackers {
		_, section, _ := strings.Cut(string(b), "\n## "+attacker+"\n")
		section, _, _ = strings.Cut(section, "\n## ")
		for _, wrong := range promises(section) {
			t.Errorf("%s: %s", attacker, wrong)
		}
	}
}

// promises returns what is wrong with the section of an attacker.
func promises(section string) (wrong []string) {
	holds, not, found := strings.Cut(section, "\nDoes not hold:\n")
	if !found || !strings.Contains(not, "\n- ") {
		wrong = append(wrong, "it does not say what does not hold")
	}
	_, holds, _ = strings.Cut(holds, "\nHolds:\n")
	items := strings.Split(holds, "\n- ")[1:]
	if len(items) == 0 {
		wrong = append(wrong, "it does not say what holds")
	}
	for _, item := range items {
		if !strings.Contains(item, ".Test") {
			wrong = append(wrong, "no test is named for: "+item)
		}
	}
	return wrong
}

func TestPromises(t *testing.T) {
	const holds, not = "\nHolds:\n\n- It works. (`mux.TestIt`)\n", "\nDoes not hold:\n\n- It flies.\n"
	for section, want := range map[string]int{holds + not: 0, holds: 1, not: 1, holds + "- It swims.\n" + not: 1, "": 2} {
		if wrong := promises(section); len(wrong) != want {
			t.Errorf("%q: %q, want %d", section, wrong, want)
		}
	}
}

// hasTest reports whether the package in dir has a test with this name.
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
