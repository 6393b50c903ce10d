package faultnet_test

import (
	"fmt"
	"io"
	"math/bits"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/faultnet"
	"github.com/backdial/backdial/internal/test/leak"
)

// A udpPath is a network with a server that has heard from one client.
type udpPath struct {
	*faultnet.UDP
	client net.Conn
	server *udpServer
}

// A udpServer answers the last sender.
type udpServer struct {
	*net.UDPConn
	peer net.Addr
}

func (s *udpServer) Read(p []byte) (int, error) {
	n, peer, err := s.ReadFrom(p)
	if err == nil {
		s.peer = peer
	}
	return n, err
}

func (s *udpServer) Write(p []byte) (int, error) { return s.WriteTo(p, s.peer) }

func newUDP(t *testing.T) udpPath {
	t.Helper()
	listening, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listening.Close() })
	network, err := faultnet.ListenUDP(listening.LocalAddr().String(), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { network.Close() })
	client, err := net.Dial("udp", network.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	p := udpPath{network, client, &udpServer{UDPConn: listening}}
	carries(t, client, p.server)
	carries(t, p.server, client)
	return p
}

// eachDatagramWay is eachWay for UDP.
func eachDatagramWay(t *testing.T, test func(t *testing.T, set func(faultnet.Way), from, to net.Conn)) {
	t.Run("Up", func(t *testing.T) {
		leak.Check(t)
		p := newUDP(t)
		test(t, func(w faultnet.Way) { p.Set(faultnet.Conditions{Up: w}) }, p.client, p.server)
	})
	t.Run("Down", func(t *testing.T) {
		leak.Check(t)
		p := newUDP(t)
		test(t, func(w faultnet.Way) { p.Set(faultnet.Conditions{Down: w}) }, p.server, p.client)
	})
}

func TestDatagramDelay(t *testing.T) {
	eachDatagramWay(t, func(t *testing.T, set func(faultnet.Way), from, to net.Conn) {
		const delay = 50 * time.Millisecond
		set(faultnet.Way{Delay: delay})
		began := time.Now()
		carries(t, from, to)
		if took := time.Since(began); took < delay {
			t.Errorf("took %v, want %v at least", took, delay)
		}
		carries(t, to, from)
	})
}

func TestDatagramRate(t *testing.T) {
	eachDatagramWay(t, func(t *testing.T, set func(faultnet.Way), from, to net.Conn) {
		set(faultnet.Way{Rate: 10_000})
		began := time.Now()
		for range 11 {
			write(t, from, string(make([]byte, 100)))
		}
		for range 11 {
			expect(t, to, string(make([]byte, 100)))
		}
		if took := time.Since(began); took < 100*time.Millisecond {
			t.Errorf("took %v, want 100 ms at least", took)
		}
	})
}

// TestDatagramsLost lets nothing through, in each of the possible ways.
func TestDatagramsLost(t *testing.T) {
	for name, w := range map[string]faultnet.Way{
		"Frozen":  {Frozen: true},
		"Swallow": {Swallow: true},
		"Loss":    {Loss: 1},
	} {
		t.Run(name, func(t *testing.T) {
			eachDatagramWay(t, func(t *testing.T, set func(faultnet.Way), from, to net.Conn) {
				set(w)
				write(t, from, "lost")
				silent(t, to)
				carries(t, to, from)
				set(faultnet.Way{})
				carries(t, from, to)
			})
		})
	}
}

func TestMTU(t *testing.T) {
	eachDatagramWay(t, func(t *testing.T, set func(faultnet.Way), from, to net.Conn) {
		set(faultnet.Way{MTU: 5})
		write(t, from, "too long")
		silent(t, to)
		carries(t, from, to)
	})
}

// arrivals returns the numbers of the arriving datagrams, of n, in order.
func arrivals(t *testing.T, from, to net.Conn, n int) (all []int) {
	t.Helper()
	const last = -1
	for i := range n {
		write(t, from, fmt.Sprint(i))
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() { // so often that it is not lost
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				fmt.Fprint(from, last)
			}
		}
	}()
	b := make([]byte, 100)
	to.SetReadDeadline(time.Now().Add(patience))
	for {
		length, err := to.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		var i int
		if fmt.Sscan(string(b[:length]), &i); i == last {
			return all
		}
		all = append(all, i)
	}
}

func TestLoss(t *testing.T) {
	eachDatagramWay(t, func(t *testing.T, set func(faultnet.Way), from, to net.Conn) {
		set(faultnet.Way{Loss: 0.5})
		if all := arrivals(t, from, to, 100); len(all) < 20 || len(all) > 80 {
			t.Errorf("%d of 100 arrive: %v", len(all), all)
		}
	})
}

func TestDuplicate(t *testing.T) {
	eachDatagramWay(t, func(t *testing.T, set func(faultnet.Way), from, to net.Conn) {
		set(faultnet.Way{Duplicate: 0.5})
		if all := arrivals(t, from, to, 100); len(all) < 120 || len(all) > 180 {
			t.Errorf("%d arrive of 100: %v", len(all), all)
		}
	})
}

func TestReorder(t *testing.T) {
	eachDatagramWay(t, func(t *testing.T, set func(faultnet.Way), from, to net.Conn) {
		set(faultnet.Way{Reorder: 0.3})
		late := 0
		all := arrivals(t, from, to, 100)
		for i := range all[1:] {
			if all[i+1] < all[i] {
				late++
			}
		}
		if late < 10 || len(all) < 99 {
			t.Errorf("%d of %d come late: %v", late, len(all), all)
		}
	})
}

func TestDatagramCorrupt(t *testing.T) {
	eachDatagramWay(t, func(t *testing.T, set func(faultnet.Way), from, to net.Conn) {
		set(faultnet.Way{Corrupt: 1})
		write(t, from, "\x00\x00\x00\x00")
		got := make([]byte, 4)
		if _, err := io.ReadFull(to, got); err != nil {
			t.Fatal(err)
		}
		turned := 0
		for _, b := range got {
			turned += bits.OnesCount8(b)
		}
		if turned != 1 {
			t.Errorf("%d bits are turned, want 1", turned)
		}
	})
}

func TestRebind(t *testing.T) {
	leak.Check(t)
	p := newUDP(t)
	before := p.server.peer
	if err := p.Rebind(); err != nil {
		t.Fatal(err)
	}
	write(t, p.server, "to nobody")
	silent(t, p.client)
	carries(t, p.client, p.server)
	if p.server.peer.String() == before.String() {
		t.Error("the client still has the address", before)
	}
	carries(t, p.server, p.client)
}

// TestForget checks that a forgotten client costs nothing any more, and may come back.
func TestForget(t *testing.T) {
	leak.Check(t)
	p := newUDP(t)
	before, others := p.server.peer, runtime.NumGoroutine()
	p.Forget(time.Hour)
	carries(t, p.server, p.client)
	p.Forget(0)
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > others-3; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, want 3 less than %d", runtime.NumGoroutine(), others)
		}
	}
	write(t, p.server, "to nobody")
	silent(t, p.client)
	carries(t, p.client, p.server)
	if p.server.peer.String() == before.String() {
		t.Error("the client still has the address", before)
	}
	carries(t, p.server, p.client)
}

// TestTwoClients checks that the server can tell them apart.
func TestTwoClients(t *testing.T) {
	leak.Check(t)
	p := newUDP(t)
	first := p.server.peer
	other, err := net.Dial("udp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	carries(t, other, p.server)
	carries(t, p.server, other)
	p.server.peer = first
	carries(t, p.server, p.client)
}

func TestCloseUDP(t *testing.T) {
	leak.Check(t)
	p := newUDP(t)
	p.Set(faultnet.Both(faultnet.Way{Delay: time.Hour}))
	write(t, p.client, "on its way")
	p.Close()
	p.Close()
}
