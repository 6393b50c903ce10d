// Site makes a static site of the documentation: a page of HTML for each page of Markdown in
// the repository, and the pictures on them. It fails if a link leads nowhere.
//
//	go run . -out ../../../site
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
)

func main() {
	root := flag.String("root", "../../..", "the `folder` of the repository")
	out := flag.String("out", "../../../site", "the `folder` of the site, which is written anew")
	flag.Parse()
	if err := write(*root, *out); err != nil {
		log.Fatal("site: ", err)
	}
	fmt.Println(filepath.Join(*out, "index.html"))
}

// write makes the site of root in the folder out.
func write(root, out string) error {
	files, err := build(os.DirFS(root))
	if err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	for name, content := range files {
		name = filepath.Join(out, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
