// The program webtransport is a device: it connects to the address that it is given, and echoes
// what the server sends on streams. It has this library with WebTransport, and ws where that fails.
package main

import (
	"context"
	"io"
	"log"
	"os"

	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/transport"
)

func main() {
	lis, err := transport.DialAndListenContext(context.Background(), os.Args[1], nil,
		transport.WithCarriers(webtransport.New(), ws.New()), transport.WithMuxes(nativemux.New(), qmux.New()))
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
