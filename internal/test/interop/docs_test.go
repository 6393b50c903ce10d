//go:build unix

package interop

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
)

// documented returns the client program of docs/javascript.md, for a server at url.
func documented(t *testing.T, url string) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/javascript.md")
	if err != nil {
		t.Fatal(err)
	}
	_, program, found := strings.Cut(string(text), "\n```js\nimport Session")
	program, _, ended := strings.Cut("import Session"+program, "\n```\n")
	const example = "wss://example.com/"
	if !found || !ended || !strings.Contains(program, example) {
		t.Fatal("docs/javascript.md has no client, or not of", example)
	}
	return strings.Replace(program, example, url, 1)
}

// TestDocs runs what docs/javascript.md tells users to write.
func TestDocs(t *testing.T) {
	everywhere(t, func(t *testing.T, k kind) {
		leak.Check(t)
		s := newSite(t)
		k.run(t, s, documented(t, s.at(s.addr(), "/dialer").URL))
		d := await.From(t, "the client", s.dialers)
		for range 3 {
			if got, err := ask(d, "hello", nil); string(got) != "hello\n" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		}
	})
}

// runInNode runs a program as a user does.
func runInNode(t *testing.T, _ *site, program string) {
	dir := t.TempDir()
	modules, err := filepath.Abs("testdata/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "program.mjs"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	runNode(t, dir, "program.mjs")
}

// runInTab opens a page with the program, beside that with the tests' client.
func runInTab(t *testing.T, s *site, program string) {
	page, err := os.ReadFile("testdata/page.html")
	if err != nil {
		t.Fatal(err)
	}
	before, _, found := strings.Cut(string(page), `<script type="module">`)
	if !found {
		t.Fatal("the page has no program")
	}
	s.routes.HandleFunc("/documented.html", func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(before + `<script type="module">` + program + "</script>"))
	})
	openTab(t, s, "/documented.html")
}
