package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// markdown understands what GitHub does, where the pages are read too. HTML in them is safe, because
// they are ours.
var markdown = goldmark.New(
	goldmark.WithExtensions(extension.Table, extension.Strikethrough),
	goldmark.WithParserOptions(parser.WithAutoHeadingID()),
	goldmark.WithRendererOptions(html.WithUnsafe(),
		renderer.WithNodeRenderers(util.Prioritized(nodes{}, 100))),
)

// A page is one of Markdown.
type page struct {
	name     string // from the root of the repository
	title    string
	source   []byte
	doc      ast.Node
	headings []heading
	links    []string // names of files of the repository
	place    int      // in the reading order of docs, or -1
}

// A heading is one of a page.
type heading struct {
	Level     int
	ID, Title string
}

// parse parses a page.
func parse(name string, source []byte) *page {
	p := &page{name: name, source: source, place: -1}
	context := parser.NewContext(parser.WithIDs(&slugs{taken: map[string]int{}}))
	p.doc = markdown.Parser().Parse(text.NewReader(source), parser.WithContext(context))
	p.walk(func(n ast.Node) {
		if h, ok := n.(*ast.Heading); ok {
			id, _ := h.AttributeString("id")
			p.headings = append(p.headings, heading{h.Level, string(id.([]byte)), plain(h, source)})
		}
	})
	p.title = name
	if len(p.headings) > 0 {
		p.title = p.headings[0].Title
	}
	return p
}

func (p *page) walk(f func(ast.Node)) {
	ast.Walk(p.doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			f(n)
		}
		return ast.WalkContinue, nil
	})
}

// plain returns the text of a node.
func plain(n ast.Node, source []byte) string {
	var b strings.Builder
	ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := n.(*ast.Text); ok && entering {
			b.Write(t.Segment.Value(source))
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// short is the title of a page in the list of pages.
func (p *page) short() string {
	switch p.name {
	case "README.md":
		return "Overview"
	case index:
		return "Documentation"
	}
	return p.title
}

// sections returns the headings that the list of pages shows for the current page.
func (p *page) sections() (sections []heading) {
	for _, h := range p.headings {
		if h.Level == 2 {
			sections = append(sections, h)
		}
	}
	return sections
}

func (p *page) has(id string) bool {
	for _, h := range p.headings {
		if h.ID == id {
			return true
		}
	}
	return false
}

func (p *page) html() ([]byte, error) {
	var b bytes.Buffer
	err := markdown.Renderer().Render(&b, p.source, p.doc)
	return b.Bytes(), err
}

// slugs makes the same IDs of headings as GitHub.
type slugs struct{ taken map[string]int }

func (s *slugs) Generate(value []byte, _ ast.NodeKind) []byte {
	slug := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, string(value))
	n := s.taken[slug]
	s.taken[slug]++
	if n > 0 {
		slug = fmt.Sprint(slug, "-", n)
	}
	return []byte(slug)
}

func (s *slugs) Put([]byte) {}

// repository is where links to files lead that the site does not have.
const repository = "https://github.com/backdial/backdial/"

// source returns the URL of a file or folder of the repository.
func source(name string, isDir bool) string {
	if isDir {
		return repository + "tree/main/" + name
	}
	return repository + "blob/main/" + name
}

// attributes finds links in HTML.
var attributes = regexp.MustCompile(`\b(?:src|srcset|href)="([^"]*)"`)

// link rewrites the links of a page for the site. It returns an error for each link that leads
// nowhere.
func (s *site) link(p *page) (wrong []error) {
	p.walk(func(n ast.Node) {
		var err error
		switch n := n.(type) {
		case *ast.Link:
			n.Destination, err = s.target(p, n.Destination)
		case *ast.Image:
			n.Destination, err = s.target(p, n.Destination)
		case *ast.RawHTML:
			err = s.raw(p, n.Segments)
		case *ast.HTMLBlock:
			err = s.raw(p, n.Lines())
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", p.name, err))
		}
	})
	return wrong
}

// raw checks the links in HTML. It cannot rewrite them, so they may lead only to files that have
// the same name on the site.
func (s *site) raw(p *page, lines *text.Segments) error {
	for i := range lines.Len() {
		line := lines.At(i)
		for _, match := range attributes.FindAllSubmatch(line.Value(p.source), -1) {
			to, err := s.target(p, match[1])
			if err == nil && string(to) != string(match[1]) {
				err = fmt.Errorf("the link %s in HTML leads to no picture", match[1])
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// target returns where a link of a page leads on the site.
func (s *site) target(p *page, link []byte) ([]byte, error) {
	u, err := url.Parse(string(link))
	if err != nil || u.IsAbs() || u.Host != "" {
		return link, err
	}
	name := p.name
	if u.Path != "" {
		name = path.Join(path.Dir(p.name), u.Path)
	}
	p.links = append(p.links, name)
	if to := s.pages[name]; to != nil {
		if u.Fragment != "" && !to.has(u.Fragment) {
			return nil, fmt.Errorf("%s has no heading for the link %s", name, link)
		}
		if u.Path != "" {
			u.Path = relative(htmlName(p.name), htmlName(name))
		}
		return []byte(u.String()), nil
	}
	info, err := fs.Stat(s.root, name)
	if err != nil {
		return nil, fmt.Errorf("the link %s leads nowhere: %w", link, err)
	}
	switch path.Ext(name) {
	case ".svg", ".png", ".html":
		s.files[name], err = fs.ReadFile(s.root, name)
		return []byte(relative(htmlName(p.name), name)), err
	}
	return []byte(source(name, info.IsDir())), nil
}
