package faultnet_test

import (
	"bytes"
	"errors"
	"io"
	"math/bits"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/faultnet"
	"github.com/backdial/backdial/internal/test/leak"
)

const (
	// patience bounds what has to happen, on a loaded machine.
	patience = 10 * time.Second

	// silence is how long nothing comes where nothing is expected.
	silence = 50 * time.Millisecond
)

// A tcpPath is a network with one server.
type tcpPath struct {
	*faultnet.TCP
	ln net.Listener
}

func newTCP(t *testing.T) tcpPath {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	network, err := faultnet.ListenTCP(ln.Addr().String(), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { network.Close() })
	return tcpPath{network, ln}
}

// dial returns the client's end of a new connection.
func (p tcpPath) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// pair returns the ends of a connection that has carried something.
func (p tcpPath) pair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	client = p.dial(t)
	server, err := p.ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	carries(t, client, server)
	carries(t, server, client)
	return client, server
}

// carries fails t if what from writes does not reach to.
func carries(t *testing.T, from, to net.Conn) {
	t.Helper()
	write(t, from, "hello")
	expect(t, to, "hello")
}

func write(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal("write:", err)
	}
}

func expect(t *testing.T, c net.Conn, want string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); string(got[:n]) != want {
		t.Fatalf("read %q, %v, want %q", got[:n], err, want)
	}
}

// silent fails t if anything reaches c, including its end.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(silence))
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d bytes, %v, want silence", n, err)
	}
}

// ends fails t if c does not end with an error that matches want.
func ends(t *testing.T, c net.Conn, want error) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, want) {
		t.Fatalf("read %d bytes, %v, want %v", n, err, want)
	}
}

// eachWay runs test with a new connection for each direction.
func eachWay(t *testing.T, test func(t *testing.T, p tcpPath, set func(faultnet.Way), from, to net.Conn)) {
	t.Run("Up", func(t *testing.T) {
		leak.Check(t)
		p := newTCP(t)
		client, server := p.pair(t)
		test(t, p, func(w faultnet.Way) { p.Set(faultnet.Conditions{Up: w}) }, client, server)
	})
	t.Run("Down", func(t *testing.T) {
		leak.Check(t)
		p := newTCP(t)
		client, server := p.pair(t)
		test(t, p, func(w faultnet.Way) { p.Set(faultnet.Conditions{Down: w}) }, server, client)
	})
}

func TestDelay(t *testing.T) {
	eachWay(t, func(t *testing.T, _ tcpPath, set func(faultnet.Way), from, to net.Conn) {
		const delay = 50 * time.Millisecond
		set(faultnet.Way{Delay: delay})
		began := time.Now()
		carries(t, from, to)
		if took := time.Since(began); took < delay {
			t.Errorf("took %v, want %v at least", took, delay)
		}
		// What is under way at a time is late at a time.
		set(faultnet.Way{Delay: time.Hour})
		write(t, from, "one")
		silent(t, to)
		write(t, from, "two")
		carries(t, to, from)
		set(faultnet.Way{})
		expect(t, to, "onetwo")
	})
}

func TestRate(t *testing.T) {
	eachWay(t, func(t *testing.T, _ tcpPath, set func(faultnet.Way), from, to net.Conn) {
		const rate, pieces = 1 << 20, 16 << 10
		set(faultnet.Way{Rate: rate})
		began := time.Now()
		go from.Write(make([]byte, 8*pieces))
		if _, err := io.ReadFull(to, make([]byte, 8*pieces)); err != nil {
			t.Fatal(err)
		}
		// The last piece need not wait for itself.
		if took, least := time.Since(began), time.Second*7*pieces/rate; took < least {
			t.Errorf("took %v, want %v at least", took, least)
		}
	})
}

func TestChunk(t *testing.T) {
	eachWay(t, func(t *testing.T, _ tcpPath, set func(faultnet.Way), from, to net.Conn) {
		set(faultnet.Way{Chunk: 3, Rate: 10_000})
		write(t, from, "so many words")
		b := make([]byte, 100)
		for got := 0; got < len("so many words"); {
			n, err := to.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			if n > 3 && got == 0 {
				t.Errorf("%d bytes at once", n)
			}
			got += n
		}
	})
}

func TestFreeze(t *testing.T) {
	eachWay(t, func(t *testing.T, _ tcpPath, set func(faultnet.Way), from, to net.Conn) {
		set(faultnet.Way{Frozen: true})
		write(t, from, "late")
		from.(*net.TCPConn).CloseWrite()
		silent(t, to)
		carries(t, to, from)
		set(faultnet.Way{})
		expect(t, to, "late")
		ends(t, to, io.EOF)
	})
}

// TestFrozenIsFull writes more than a frozen way holds.
func TestFrozenIsFull(t *testing.T) {
	eachWay(t, func(t *testing.T, _ tcpPath, set func(faultnet.Way), from, to net.Conn) {
		set(faultnet.Way{Frozen: true})
		from.SetWriteDeadline(time.Now().Add(patience / 10))
		n, err := from.Write(make([]byte, 256<<20))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("wrote %d bytes, %v", n, err)
		}
		set(faultnet.Way{})
		if _, err := io.ReadFull(to, make([]byte, n)); err != nil {
			t.Error(err)
		}
	})
}

// TestCorrupt counts the bits that were changed.
func TestCorrupt(t *testing.T) {
	eachWay(t, func(t *testing.T, p tcpPath, set func(faultnet.Way), from, to net.Conn) {
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
		if turned != 1 || p.Harmed() != 1 {
			t.Errorf("%d bits are turned, in %d pieces; want 1 in 1", turned, p.Harmed())
		}
		set(faultnet.Way{})
		carries(t, from, to)
	})
}

// TestBytes carries more than is under way at a time, both ways at once, over a path that
// changes all the time.
func TestBytes(t *testing.T) {
	leak.Check(t)
	p := newTCP(t)
	client, server := p.pair(t)
	there, back := bytes.Repeat([]byte("there"), 1<<20), bytes.Repeat([]byte("back."), 1<<20)
	var all sync.WaitGroup
	carry := func(from, to net.Conn, what []byte) {
		all.Go(func() {
			from.Write(what)
			from.(*net.TCPConn).CloseWrite()
		})
		all.Go(func() {
			if got, err := io.ReadAll(to); !bytes.Equal(got, what) || err != nil {
				t.Errorf("%d bytes of %d arrived, or others: %v", len(got), len(what), err)
			}
		})
	}
	client.SetReadDeadline(time.Now().Add(patience))
	server.SetReadDeadline(time.Now().Add(patience))
	carry(client, server, there)
	carry(server, client, back)
	carried := make(chan struct{})
	go func() {
		defer close(carried)
		all.Wait()
	}()
	for i := 0; ; i++ {
		select {
		case <-carried:
			return
		case <-time.After(time.Millisecond):
		}
		p.Set(faultnet.Conditions{
			Up:   faultnet.Way{Frozen: i%3 == 1, Delay: time.Duration(i%2) * time.Millisecond, Chunk: 1000 * (i % 4)},
			Down: faultnet.Way{Frozen: i%3 == 2, Rate: (i % 2) << 26},
		})
	}
}

func TestCloseTCP(t *testing.T) {
	leak.Check(t)
	p := newTCP(t)
	client, server := p.pair(t)
	p.Set(faultnet.Both(faultnet.Way{Delay: time.Hour}))
	write(t, client, "on its way")
	p.Close()
	p.Close()
	ends(t, client, syscall.ECONNRESET)
	ends(t, server, syscall.ECONNRESET)
}
