// Peer is one end of a session, for tests between two versions of this library:
//
//	peer -stacks                                         prints the names of all stacks
//	peer -stack ws/qmux -cert cert.pem -key key.pem      is a server: it prints its URL, and gives its client tasks
//	peer -stack ws/qmux -ca ca.pem -connect https://…    is that client
//
// At the end each prints the protocol of the session. The client then waits for the end
// of its input: if it exited at once, the packet that reports the end of the session
// might be lost. The exit status is 1 if anything was wrong. A peer is tested with peers
// of later versions, so its flags, its output and its tasks must not change.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/backdial/backdial/transport"
)

// patience is for everything together.
const patience = 20 * time.Second

func main() {
	log.SetFlags(0)
	list := flag.Bool("stacks", false, "print the names of all stacks")
	name := flag.String("stack", "", "`name` of a stack")
	connect := flag.String("connect", "", "`URL` of the server; none: be the server")
	ca := flag.String("ca", "", "`file` with the authority that the client trusts")
	cert := flag.String("cert", "", "`file` with the server's certificate")
	key := flag.String("key", "", "`file` with its key")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if *list {
		for _, s := range stacks() {
			fmt.Println(s.name)
		}
		return
	}
	s, err := stackNamed(*name)
	var info transport.Info
	switch {
	case err != nil:
	case *connect == "":
		info, err = serve(ctx, s, *cert, *key)
	default:
		info, err = visit(ctx, s, *connect, *ca)
	}
	if err != nil {
		log.Fatalf("%s: %v", *name, err)
	}
	fmt.Println(info.Protocol)
	if *connect != "" {
		io.Copy(io.Discard, os.Stdin)
	}
}
