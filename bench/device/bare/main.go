// The program bare is a device: it connects to the address that it is given, and echoes
// what the server sends on streams. It has gorilla/websocket and yamux, and nothing else.
package main

import (
	"io"
	"log"
	"os"

	"github.com/gorilla/websocket"
	"github.com/hashicorp/yamux"
)

func main() {
	conn, _, err := new(websocket.Dialer).Dial(os.Args[1], nil)
	if err != nil {
		log.Fatal(err)
	}
	lis, err := yamux.Server(&messages{Conn: conn}, yamux.DefaultConfig())
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

// messages are the bytes of a WebSocket, a message for each Write.
type messages struct {
	*websocket.Conn
	r io.Reader
}

func (m *messages) Read(p []byte) (int, error) {
	for {
		if m.r == nil {
			_, r, err := m.NextReader()
			if err != nil {
				return 0, err
			}
			m.r = r
		}
		n, err := m.r.Read(p)
		if err == io.EOF {
			m.r, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (m *messages) Write(p []byte) (int, error) {
	return len(p), m.WriteMessage(websocket.BinaryMessage, p)
}
