package link_test

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/backdial/backdial/bench/link"
	"github.com/backdial/backdial/internal/test/leak"
)

// fast is a path whose rate tests do not notice.
var fast = link.Conditions{RTT: 20 * time.Millisecond, Rate: 1e9, Queue: 20 * time.Millisecond}

func open(t testing.TB, network, target string, c link.Conditions) *link.Path {
	t.Helper()
	p, err := link.Open(network, target, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// pair returns the ends of a TCP connection over a path.
func pair(t testing.TB, c link.Conditions) (client, server *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	dialled, err := net.Dial("tcp", open(t, "tcp", ln.Addr().String(), c).Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close() })
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	return dialled.(*net.TCPConn), accepted.(*net.TCPConn)
}

// sockets returns a client whose datagrams reach the server over a path, and a server
// that has got one.
func sockets(t testing.TB, c link.Conditions) (client, server net.Conn) {
	t.Helper()
	listening, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listening.Close() })
	client, err = net.Dial("udp", open(t, "udp", listening.LocalAddr().String(), c).Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client, listening
}

func write(t testing.TB, c net.Conn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, c net.Conn, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// atLeast fails t if less than d has passed since then.
func atLeast(t testing.TB, what string, since time.Time, d time.Duration) {
	t.Helper()
	if took := time.Since(since); took < d {
		t.Errorf("%s took %v, want at least %v", what, took, d)
	}
}

func TestDelayTCP(t *testing.T) {
	leak.Check(t)
	began := time.Now()
	client, server := pair(t, fast)
	write(t, client, []byte("a"))
	read(t, server, 1)
	atLeast(t, "the handshake and a way", began, fast.RTT*3/2)
	for range 3 {
		began = time.Now()
		write(t, server, []byte("a"))
		write(t, client, read(t, client, 1))
		read(t, server, 1)
		atLeast(t, "a round trip", began, fast.RTT)
	}
}

// TestServerSpeaksFirst checks that the handshake delays both directions.
func TestServerSpeaksFirst(t *testing.T) {
	leak.Check(t)
	began := time.Now()
	client, server := pair(t, fast)
	write(t, server, []byte("a"))
	read(t, client, 1)
	atLeast(t, "the handshake and a way", began, 2*fast.RTT)
}

func TestDelayUDP(t *testing.T) {
	leak.Check(t)
	client, server := sockets(t, fast)
	for range 3 {
		began := time.Now()
		write(t, client, []byte("a"))
		b := make([]byte, 1)
		_, from, err := server.(net.PacketConn).ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		atLeast(t, "a way", began, fast.RTT/2)
		server.(net.PacketConn).WriteTo(b, from)
		read(t, client, 1)
		atLeast(t, "a round trip", began, fast.RTT)
	}
}

// TestBytes sends more than may be under way, both ways at once, and closes one after the
// other.
func TestBytes(t *testing.T) {
	leak.Check(t)
	client, server := pair(t, fast)
	send := func(c *net.TCPConn, b []byte) {
		if _, err := c.Write(b); err != nil {
			t.Error(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Error(err)
		}
	}
	there, back := make([]byte, 50<<20+1), make([]byte, 50<<20+7)
	rand.Read(there)
	rand.Read(back)
	go send(client, there)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if got, err := io.ReadAll(server); !bytes.Equal(got, there) || err != nil {
			t.Errorf("%d bytes of %d arrived, or others: %v", len(got), len(there), err)
		}
		send(server, back) // over a connection that is half closed
	}()
	if got, err := io.ReadAll(client); !bytes.Equal(got, back) || err != nil {
		t.Errorf("%d bytes of %d came back, or others: %v", len(got), len(back), err)
	}
	<-answered
}

func TestRate(t *testing.T) {
	leak.Check(t)
	c := fast
	c.Rate = 10e6
	client, server := pair(t, c)
	const size = 2e6
	began := time.Now()
	go client.Write(make([]byte, size))
	read(t, server, size)
	atLeast(t, "2 MB", began, 200*time.Millisecond)
}

// TestBackpressure writes to an end that does not read, until nothing has moved for
// longer than a path with room could be silent.
func TestBackpressure(t *testing.T) {
	leak.Check(t)
	client, _ := pair(t, fast)
	written := 0
	for b := make([]byte, 1<<20); ; {
		client.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := client.Write(b)
		written += n
		if err != nil {
			break
		}
		if written > 1<<30 {
			t.Fatal("the path holds a gigabyte")
		}
	}
}

// TestReset checks that one end learns if the other fails.
func TestReset(t *testing.T) {
	leak.Check(t)
	client, server := pair(t, fast)
	server.SetLinger(0)
	server.Close()
	if n, err := client.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("read %d bytes and %v, want a reset", n, err)
	}
}

func TestServerIsGone(t *testing.T) {
	leak.Check(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	client, err := net.Dial("tcp", open(t, "tcp", ln.Addr().String(), fast).Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if n, err := client.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("read %d bytes and %v, want a reset", n, err)
	}
}

// TestLoss counts how many of many datagrams arrive, which must be in order. The seed
// decides which are lost by chance; the kernel may lose more.
func TestLoss(t *testing.T) {
	leak.Check(t)
	c := fast
	c.Loss = 0.2
	client, server := sockets(t, c)
	const n = 2000
	go func() {
		var b [4]byte
		for i := range uint32(n) {
			binary.BigEndian.PutUint32(b[:], i)
			client.Write(b[:])
		}
		for binary.BigEndian.PutUint32(b[:], n); ; { // so often that it is not lost
			if _, err := client.Write(b[:]); err != nil {
				return
			}
		}
	}()
	arrived := 0
	for last := -1; ; arrived++ {
		i := int(binary.BigEndian.Uint32(read(t, server, 4)))
		if i == n {
			break
		}
		if i <= last {
			t.Fatalf("datagram %d came after %d", i, last)
		}
		last = i
	}
	if arrived == 0 || arrived > n*9/10 {
		t.Errorf("%d of %d datagrams arrived, want about %v", arrived, n, n*(1-c.Loss))
	}
}

// TestQueue sends more at once than may wait.
func TestQueue(t *testing.T) {
	leak.Check(t)
	c := fast
	c.Rate = 1e4
	client, server := sockets(t, c)
	began := time.Now()
	for range 100 {
		write(t, client, make([]byte, 1000))
	}
	written := time.Since(began)
	arrived := 0
	for patience := time.Minute; ; patience = time.Second {
		server.SetReadDeadline(time.Now().Add(patience))
		if _, err := server.Read(make([]byte, 1000)); err != nil {
			break
		}
		arrived++
	}
	if most := 2 + int(written/(100*time.Millisecond)); arrived == 0 || arrived > most {
		t.Errorf("%d of 100 datagrams arrived, want %d at most", arrived, most)
	}
}

// TestMTU checks that a datagram that is too large is dropped, not cut.
func TestMTU(t *testing.T) {
	leak.Check(t)
	client, server := sockets(t, fast)
	write(t, client, make([]byte, 1501))
	write(t, client, make([]byte, 1500))
	if n, err := server.Read(make([]byte, 2000)); n != 1500 || err != nil {
		t.Errorf("got %d bytes, %v, want 1500", n, err)
	}
}

func TestClose(t *testing.T) {
	leak.Check(t)
	c := fast
	c.RTT = time.Hour
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, network := range []string{"tcp", "udp"} {
		p := open(t, network, ln.Addr().String(), c)
		client, err := net.Dial(network, p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		write(t, client, []byte("a"))
		p.Close()
		p.Close()
	}
}

func TestConditions(t *testing.T) {
	leak.Check(t)
	for name, c := range map[string]link.Conditions{
		"no rate":        {Queue: time.Second},
		"no queue":       {Rate: 1},
		"TCP loss":       {Rate: 1, Queue: time.Second, Loss: 0.1},
		"a negative RTT": {RTT: -1, Rate: 1, Queue: time.Second},
	} {
		if p, err := link.Open("tcp", "127.0.0.1:1", c); err == nil {
			p.Close()
			t.Errorf("%s: want an error", name)
		}
	}
	if p, err := link.Open("icmp", "127.0.0.1:1", fast); err == nil {
		p.Close()
		t.Error("want an error for an unknown network")
	}
}
