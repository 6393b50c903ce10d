// Peer is one end of a session, for a test of what two versions of this library say to each
// other:
//
//	peer -stacks                                         prints the names of all stacks
//	peer -stack ws/qmux -cert cert.pem -key key.pem      is a server: it prints its URL, and has a client do things
//	peer -stack ws/qmux -ca ca.pem -connect https://…    is that client
//
// Each prints the protocol of the session in the end. The client then waits for the end of its
// input: a process that ends may take with it the packet that tells of the end of a session. The
// exit status is 1 if anything was not as it should be. A peer meets peers of later versions, so its flags, what it prints and its
// tasks stay as they are.
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
