// The program yamux is a device: it connects to the address that it is given, and echoes
// what the server sends on streams. It has this library and chooses yamux, so the build tag
// backdialomitqmux leaves out qmux.
package main

import (
	"context"
	"io"
	"log"
	"os"

	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

func main() {
	lis, err := transport.DialAndListenContext(context.Background(), os.Args[1], nil,
		transport.WithMuxes(yamuxmux.New()))
	if err != nil {
		log.Fatal(err)
	}
	for {
		conn, err := lis.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer conn.Close()
			io.Copy(conn, conn)
		}()
	}
}
