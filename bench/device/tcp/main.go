// The program tcp is a device: it connects to the address that it is given, and echoes what
// the server sends on streams. It has one TCP connection, which is its only stream: no device
// is smaller.
package main

import (
	"io"
	"log"
	"net"
	"os"
)

func main() {
	conn, err := net.Dial("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	io.Copy(conn, conn)
}
