// Release makes a release of all modules that others use:
//
//	go run ./internal/cmd/release v0.2.0
//
// It runs in the folder of the root's module, which has nothing uncommitted. It writes the
// version into every go.mod that requires one of the modules, and into CHANGELOG.md, and
// commits that. It then builds each module as a stranger gets it, from a module proxy of files
// that has the commit under the new version. If that works, it tags the commit for each module,
// and prints the command that publishes it. Otherwise it leaves everything as it was.
//
// A version is v0.2.0, or v0.2.0-rc.1 for a candidate. It has to be newer than all that have a tag
// or a heading in CHANGELOG.md. The tool refuses a branch that does not contain the last release, a
// go.mod that users could not do with, such as one with a placeholder for a version, or with a
// replace that they would need, and a CHANGELOG.md with nothing under Unreleased.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("release: ")
	list := flag.Bool("list", false, "print the folders of the published modules, and do nothing else")
	flag.Parse()
	if *list {
		for _, dir := range published {
			fmt.Println(dir)
		}
		return
	}
	if flag.NArg() != 1 {
		log.Fatal("say which version, such as v0.2.0")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := release(ctx, ".", flag.Arg(0), os.Stdout); err != nil {
		log.Fatal(err)
	}
}
