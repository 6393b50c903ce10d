// Relay is to examples/forward what a program would be that reached the service itself: it
// joins each connection that it accepts with one to the target, and nothing is between. In
// benchmarks it stands in the other's place.
package main

import (
	"io"
	"log"
	"net"
	"os"
)

func main() {
	listen, target := os.Args[1], os.Args[2]
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		log.Fatal(err)
	}
	for {
		near, err := ln.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go join(near.(*net.TCPConn), target)
	}
}

func join(near *net.TCPConn, target string) {
	defer near.Close()
	conn, err := net.Dial("tcp", target)
	if err != nil {
		log.Print(err)
		return
	}
	far := conn.(*net.TCPConn)
	defer far.Close()
	ended := make(chan struct{})
	go func() {
		io.Copy(far, near)
		far.CloseWrite()
		close(ended)
	}()
	io.Copy(near, far)
	near.CloseWrite()
	<-ended
}
