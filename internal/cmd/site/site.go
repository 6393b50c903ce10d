package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"slices"
	"strings"
)

//go:embed page.html
var pageHTML string

//go:embed style.css
var style []byte

var layout = template.Must(template.New("page").Parse(pageHTML))

// index is the page that lists the pages of docs, in reading order.
const index = "docs/README.md"

// build returns the files of the site of a repository, by name.
func build(root fs.FS) (map[string][]byte, error) {
	pages, err := read(root)
	if err != nil {
		return nil, err
	}
	s := &site{root: root, pages: pages, files: map[string][]byte{"style.css": style}}
	if s.pages[index] == nil {
		return nil, fmt.Errorf("there is no %s", index)
	}
	var wrong []error
	for _, name := range s.names() {
		wrong = append(wrong, s.link(s.pages[name])...)
	}
	s.order()
	for _, name := range s.names() {
		if strings.HasPrefix(name, "docs/") && s.pages[name].place < 0 {
			wrong = append(wrong, fmt.Errorf("%s does not list %s", index, name))
		}
	}
	for _, name := range s.names() {
		if err := s.render(s.pages[name]); err != nil {
			wrong = append(wrong, err)
		}
	}
	return s.files, errors.Join(wrong...)
}

// A site is the pages of a repository and the files that build makes of them.
type site struct {
	root    fs.FS
	pages   map[string]*page // by name in the repository
	reading []*page          // pages of docs, in reading order
	files   map[string][]byte
}

func (s *site) names() []string {
	names := make([]string, 0, len(s.pages))
	for name := range s.pages {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// read parses the Markdown of a repository.
func read(root fs.FS) (map[string]*page, error) {
	pages := map[string]*page{}
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		base := path.Base(name)
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (base == "node_modules" || base == "testdata" || base == "site" && name == "site" ||
			strings.HasPrefix(base, ".") && name != "."):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".md":
			return nil
		}
		source, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		pages[name] = parse(name, source)
		return nil
	})
	return pages, err
}

// order sorts the pages of docs as the index links them.
func (s *site) order() {
	s.reading = []*page{s.pages[index]}
	for _, name := range s.pages[index].links {
		if p := s.pages[name]; p != nil && strings.HasPrefix(name, "docs/") && !slices.Contains(s.reading, p) {
			s.reading = append(s.reading, p)
		}
	}
	for i, p := range s.reading {
		p.place = i
	}
}

// htmlName returns the name of the page of the site for one of the repository.
func htmlName(name string) string {
	dir, base := path.Split(name)
	if base == "README.md" {
		return dir + "index.html"
	}
	return dir + strings.TrimSuffix(base, ".md") + ".html"
}

// relative returns the URL of a file of the site, for the page of another.
func relative(from, to string) string {
	return strings.Repeat("../", strings.Count(from, "/")) + to
}

// A navItem is a page in the list of pages.
type navItem struct {
	Title, URL string
	Here       bool
	Sections   []heading
}

// render writes a page.
func (s *site) render(p *page) error {
	name := htmlName(p.name)
	item := func(of *page) *navItem {
		if of == nil {
			return nil
		}
		return &navItem{Title: of.short(), URL: relative(name, htmlName(of.name)), Here: of == p}
	}
	var nav []*navItem
	for _, other := range append([]*page{s.pages["README.md"]}, s.reading...) {
		if it := item(other); it != nil {
			if it.Here {
				it.Sections = p.sections()
			}
			nav = append(nav, it)
		}
	}
	var before, next *page
	if p.place >= 0 {
		if p.place > 0 {
			before = s.reading[p.place-1]
		}
		if p.place+1 < len(s.reading) {
			next = s.reading[p.place+1]
		}
	}
	body, err := p.html()
	if err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	var b bytes.Buffer
	err = layout.Execute(&b, map[string]any{
		"Title": p.title, "Body": template.HTML(body), "Nav": nav,
		"Style": relative(name, "style.css"), "Home": relative(name, "index.html"),
		"Source": source(p.name, false), "Before": item(before), "Next": item(next),
	})
	s.files[name] = b.Bytes()
	return err
}
