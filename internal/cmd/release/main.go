// Release makes a release of all published modules:
//
//	go run ./internal/cmd/release v0.2.0
//
// It runs in the folder of the root module, in a clean checkout. It writes the version
// into every go.mod that requires one of the modules, and into CHANGELOG.md, and commits
// that. Then it builds each module as a stranger gets it, from a file-based module proxy
// that has the commit under the new version. If that works, it tags the commit for each
// module, and prints the command that publishes the tags. Otherwise it restores
// everything.
//
// It refuses a version that is already tagged, a go.mod that users cannot build with, for
// instance with a placeholder version or a replace that they would need, and a
// CHANGELOG.md with nothing under Unreleased.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("release: ")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("say which version, such as v0.2.0")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := release(ctx, ".", flag.Arg(0), os.Stdout); err != nil {
		log.Fatal(err)
	}
}
