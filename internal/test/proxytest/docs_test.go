package proxytest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocs checks that docs/proxies.md shows the tested configurations.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../../docs/proxies.md")
	if err != nil {
		t.Fatal(err)
	}
	for language, config := range map[string]string{"nginx": "nginx.conf", "haproxy": "haproxy.cfg", "caddyfile": "Caddyfile"} {
		_, block, found := strings.Cut(string(page), "\n```"+language+"\n")
		block, _, ended := strings.Cut(block, "\n```\n")
		if !found || !ended {
			t.Errorf("there is no block of %s", language)
			continue
		}
		tested, err := os.ReadFile(filepath.Join("testdata", config))
		if err != nil {
			t.Fatal(err)
		}
		for part := range strings.SplitSeq(block, "\n\n") { // which may be apart
			if !strings.Contains(withoutIndent(string(tested)), withoutIndent(part)) {
				t.Errorf("%s does not have\n%s", config, part)
			}
		}
	}
}

// withoutIndent returns the lines of text without their indentation.
func withoutIndent(text string) string {
	var b strings.Builder
	b.WriteString("\n")
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimSpace(line) + "\n")
	}
	return b.String()
}
