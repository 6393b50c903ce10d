package harness

import "net"

// OverTCP makes sessions from TCP connections, with mux.
func OverTCP(mux func(server, client net.Conn) (*Session, error)) Serve {
	return func(t TB) (connect func() (*Session, error)) {
		ln := Listen(t)
		addr := t.Reach("tcp", ln.Addr().String())
		return func() (*Session, error) {
			client, err := net.Dial("tcp", addr)
			if err != nil {
				return nil, err
			}
			server, err := ln.Accept()
			if err != nil {
				client.Close()
				return nil, err
			}
			made, err := mux(server, client)
			if err != nil {
				server.Close()
				client.Close()
			}
			return made, err
		}
	}
}
