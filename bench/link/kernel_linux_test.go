package link_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backdial/backdial/bench/link"
)

// openKernel returns a path and a server on it, or skips the test where there can be none.
func openKernel(t *testing.T, c link.Conditions, congestion string) (ln net.Listener, addr string) {
	t.Helper()
	k, err := link.OpenKernel(c, congestion)
	if errors.Is(err, link.ErrNotHere) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(k.Close(), k.Close()); err != nil {
			t.Error(err)
		}
	})
	ln, err = net.Listen("tcp", net.JoinHostPort(k.Near, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	if addr, err = k.Reach(ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	return ln, addr
}

func TestKernelTakesItsTimeAndHasItsCongestionControl(t *testing.T) {
	const rtt = 50 * time.Millisecond
	for _, congestion := range []string{"cubic", "bbr"} {
		t.Run(congestion, func(t *testing.T) {
			ln, addr := openKernel(t, link.Conditions{RTT: rtt, Rate: 1e8, Queue: rtt}, congestion)
			began := time.Now()
			client, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if took := time.Since(began); took < rtt {
				t.Errorf("the handshake took %v, want a round trip of %v", took, rtt)
			}
			server, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			for _, end := range []net.Conn{client, server} {
				if got := congestionOf(t, end.(*net.TCPConn)); got != congestion {
					t.Errorf("the end at %v has %s, want %s", end.LocalAddr(), got, congestion)
				}
			}
		})
	}
}

func congestionOf(t *testing.T, c *net.TCPConn) (name string) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err == nil {
		err = errors.Join(raw.Control(func(fd uintptr) {
			name, err = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
		}), err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimRight([]byte(name), "\x00"))
}

// TestKernelRepairsWhatIsLost expects segments to be lost, but none of their bytes.
func TestKernelRepairsWhatIsLost(t *testing.T) {
	ln, addr := openKernel(t, link.Conditions{RTT: 2 * time.Millisecond, Rate: 1e8, Queue: 50 * time.Millisecond, Loss: 0.05}, "cubic")
	client, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	sent := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{}).Read(sent)
	written := make(chan error, 1)
	repaired := uint32(0)
	go func() {
		_, err := server.Write(sent)
		written <- errors.Join(err, server.(*net.TCPConn).CloseWrite())
	}()
	got, err := io.ReadAll(client)
	if err := errors.Join(err, <-written); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes arrived of %d, or others", len(got), len(sent))
	}
	raw, err := server.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			t.Error(err)
			return
		}
		repaired = info.Total_retrans
	})
	if repaired == 0 {
		t.Error("TCP has sent nothing twice: nothing was lost")
	}
	server.Close()
}
