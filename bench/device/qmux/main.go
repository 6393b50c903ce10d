// The program qmux is a device: it connects to the address that it is given, and echoes
// what the server sends on streams. It has this library with its defaults.
package main

import (
	"context"
	"io"
	"log"
	"os"

	"github.com/backdial/backdial/transport"
)

func main() {
	lis, err := transport.DialAndListenContext(context.Background(), os.Args[1], nil)
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
