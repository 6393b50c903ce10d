package harness

import (
	"io"
	"net"
	"testing"
)

// TestMeter expects a meter to count what passes, both ways, with a header for each
// packet.
func TestMeter(t *testing.T) {
	const there, back = 1000, 10
	for _, network := range []string{"tcp", "udp"} {
		t.Run(network, func(t *testing.T) {
			m := &meter{TB: t}
			client, server := ends(t, m, network)
			for _, way := range []struct {
				from, to net.Conn
				bytes    int
			}{{client, server, there}, {server, client, back}} {
				if _, err := way.from.Write(make([]byte, way.bytes)); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(way.to, make([]byte, way.bytes)); err != nil {
					t.Fatal(err)
				}
			}
			header := int64(52)
			if network == "udp" {
				header = 28
			}
			if got, want := m.bytes(), there+back+2*header; m.packets() != 2 || got != want {
				t.Errorf("%d bytes in %d packets have passed, want %d in 2", got, m.packets(), want)
			}
		})
	}
}

// ends returns the ends of a connection through m.
func ends(t *testing.T, m *meter, network string) (client, server net.Conn) {
	t.Helper()
	dial := func(addr string) net.Conn {
		c, err := net.Dial(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	if network == "tcp" {
		ln := Listen(m)
		client = dial(m.Reach(network, ln.Addr().String()))
		server, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { server.Close() })
		return client, server
	}
	packets, err := net.ListenUDP(network, &net.UDPAddr{IP: net.ParseIP(m.Host())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { packets.Close() })
	return dial(m.Reach(network, packets.LocalAddr().String())), &answering{UDPConn: packets}
}

// answering writes to the address from which it has read.
type answering struct {
	*net.UDPConn
	peer net.Addr
}

func (a *answering) Read(p []byte) (n int, err error) {
	n, a.peer, err = a.ReadFrom(p)
	return n, err
}

func (a *answering) Write(p []byte) (int, error) { return a.WriteTo(p, a.peer) }
