package main

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// root is the repository. The go command caches results of tests although files outside of this
// module have changed: run these tests with -count=1, or -shuffle=on as make does.
const root = "../../.."

// TestSite makes the site of this repository, and follows its links.
func TestSite(t *testing.T) {
	files, err := build(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	links := 0
	for name, content := range files {
		if !strings.HasSuffix(name, ".html") {
			continue
		}
		for _, match := range regexp.MustCompile(`(?:href|src|srcset)="([^"]*)"`).FindAllSubmatch(content, -1) {
			if to := string(match[1]); !strings.Contains(to, ":") {
				links++
				if !leads(files, name, to) {
					t.Errorf("%s has a link to %s, which is not there", name, to)
				}
			}
		}
	}
	if len(files) < 15 || links < 300 {
		t.Errorf("only %d files and %d links", len(files), links)
	}
}

// leads reports whether a link of a file leads to another, and its fragment to an ID there.
func leads(files map[string][]byte, from, link string) bool {
	file, id, hasID := strings.Cut(link, "#")
	if file == "" {
		file = from
	} else {
		dir := strings.Split(from, "/")
		dir = dir[:len(dir)-1]
		for strings.HasPrefix(file, "../") && len(dir) > 0 {
			file, dir = strings.TrimPrefix(file, "../"), dir[:len(dir)-1]
		}
		file = strings.Join(append(dir, file), "/")
	}
	content, ok := files[file]
	return ok && (!hasID || strings.Contains(string(content), ` id="`+id+`"`))
}

// pages are a repository without a fault.
func pages() fstest.MapFS {
	return fstest.MapFS{
		"README.md": {Data: []byte("# Us\n\n[more](docs/more.md#a-part) [code](code/x.go)\n\n" +
			"<picture>\n<img src=\"docs/p.svg\">\n</picture>\n")},
		"docs/README.md": {Data: []byte("# All\n\n[more](more.md) [home](../README.md)\n")},
		"docs/more.md":   {Data: []byte("# More\n\n## A `part`\n\n## A part\n\n[up](#a-part-1)\n")},
		"docs/p.svg":     {Data: []byte("<svg/>")},
		"code/x.go":      {Data: []byte("package x")},
	}
}

func TestLinks(t *testing.T) {
	files, err := build(pages())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"docs/index.html", "docs/more.html", "docs/p.svg", "index.html", "style.css"}
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, want := range []string{`href="docs/more.html#a-part"`, `src="docs/p.svg"`,
		`href="https://github.com/backdial/backdial/blob/main/code/x.go"`} {
		if !strings.Contains(string(files["index.html"]), want) {
			t.Errorf("index.html does not have %s", want)
		}
	}
}

// TestFaults plants one fault at a time.
func TestFaults(t *testing.T) {
	for name, fault := range map[string]struct{ file, from, to, want string }{
		"page":    {"README.md", "docs/more.md", "docs/less.md", "leads nowhere"},
		"file":    {"README.md", "code/x.go", "code/y.go", "leads nowhere"},
		"anchor":  {"README.md", "#a-part", "#apart", "no heading"},
		"section": {"docs/more.md", "#a-part-1", "#a-part-2", "no heading"},
		"picture": {"README.md", "docs/p.svg", "docs/q.svg", "leads nowhere"},
		"html":    {"README.md", "docs/p.svg", "code/x.go", "no picture"},
		"index":   {"docs/README.md", "[more](more.md)", "", "does not list docs/more.md"},
	} {
		t.Run(name, func(t *testing.T) {
			root := pages()
			file := root[fault.file]
			text := strings.ReplaceAll(string(file.Data), fault.from, fault.to)
			if text == string(file.Data) {
				t.Fatal("no fault")
			}
			file.Data = []byte(text)
			if _, err := build(root); err == nil || !strings.Contains(err.Error(), fault.want) {
				t.Errorf("error %v, want one with %q", err, fault.want)
			}
		})
	}
}
