package webtransport

import (
	"bytes"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/backdial/backdial/internal/test/leak"
)

// trainTest is a socket that receives trains, and room for a batch of datagrams.
func trainTest(t *testing.T, addr string) (*trainSocket, []ipv4.Message) {
	t.Helper()
	leak.Check(t)
	c, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Skip(err) // no IPv6, for instance
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	s, ok := quiet(c).(*trainSocket)
	if !ok {
		t.Skip("the kernel does not hand over trains")
	}
	ms := make([]ipv4.Message, 8)
	for i := range ms {
		ms[i].Buffers = [][]byte{make([]byte, 1452)}
		ms[i].OOB = make([]byte, 128)
	}
	return s, ms
}

// train makes a socket that sends trains of datagrams of the given size to s.
func train(t *testing.T, s *trainSocket, size int) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", nil, s.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, size)
	})
	if err != nil {
		t.Skip(err)
	}
	return c
}

func numbered(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i / 7)
	}
	return b
}

// readSizes reads n datagrams, which must be those in want, from the given sender.
func readSizes(t *testing.T, s *trainSocket, ms []ipv4.Message, from net.Addr, want []byte) (batches, sizes []int) {
	t.Helper()
	var got []byte
	for len(got) < len(want) {
		n, err := s.ReadBatch(ms, 0)
		if err != nil {
			t.Fatal(err)
		}
		batches = append(batches, n)
		for _, m := range ms[:n] {
			got = append(got, m.Buffers[0][:m.N]...)
			sizes = append(sizes, m.N)
			if m.Addr.String() != from.String() {
				t.Errorf("datagram from %v, want %v", m.Addr, from)
			}
		}
	}
	if !bytes.Equal(got, want) {
		t.Error("the datagrams differ from those sent")
	}
	return batches, sizes
}

func TestTrain(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(addr, func(t *testing.T) {
			s, ms := trainTest(t, addr)
			// These bits of the IP header are what quic-go wants to know of each datagram.
			raw, err := s.UDPConn.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			raw.Control(func(fd uintptr) {
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTOS, 1)
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1)
			})
			c := train(t, s, 1200)
			want := numbered(11*1200 + 77)
			if _, err := c.Write(want); err != nil {
				t.Fatal(err)
			}
			batches, sizes := readSizes(t, s, ms, c.LocalAddr(), want)
			if len(batches) != 2 || batches[0] != 8 || batches[1] != 4 {
				t.Errorf("got batches of %v datagrams, want one system call for all 12", batches)
			}
			for i, size := range sizes {
				if i < 11 && size != 1200 || i == 11 && size != 77 {
					t.Errorf("sizes are %v", sizes)
					break
				}
			}
			for i, m := range ms[:4] {
				notes, err := unix.ParseSocketControlMessage(m.OOB[:m.NN])
				if err != nil || len(notes) != 1 || notes[0].Header.Level == unix.IPPROTO_UDP {
					t.Errorf("datagram %d of the second batch has the control messages %v, %v", i, notes, err)
				}
			}
		})
	}
}

func TestTrainSizes(t *testing.T) {
	s, ms := trainTest(t, "127.0.0.1:0")
	small, large := train(t, s, 100), train(t, s, 0)
	write := func(c *net.UDPConn, n int) {
		t.Helper()
		if _, err := c.Write(numbered(n)); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []int{1, 99, 100, 101, 200, 64 * 100} {
		write(small, n)
		_, sizes := readSizes(t, s, ms, small.LocalAddr(), numbered(n))
		if len(sizes) != (n+99)/100 {
			t.Errorf("%d bytes arrived as %d datagrams", n, len(sizes))
		}
		write(large, 33) // between trains of another
		readSizes(t, s, ms, large.LocalAddr(), numbered(33))
	}
	// Datagrams without bytes, or with more than there is room for.
	for n, want := range map[int]int{0: 0, 3000: 1452} {
		write(large, n)
		if got, err := s.ReadBatch(ms, 0); got != 1 || err != nil || ms[0].N != want {
			t.Errorf("a datagram of %d bytes: ReadBatch = %d, %v, of %d bytes", n, got, err, ms[0].N)
		}
	}
}

// TestTrainWaits expects that a socket that waits has no buffer, and that quic-go can wake it.
func TestTrainWaits(t *testing.T) {
	s, ms := trainTest(t, "127.0.0.1:0")
	c := train(t, s, 100)
	if _, err := c.Write(numbered(1000)); err != nil {
		t.Fatal(err)
	}
	readSizes(t, s, ms, c.LocalAddr(), numbered(1000))
	if s.buffer != nil {
		t.Error("the socket keeps the buffer of a train that it has passed on")
	}
	s.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := s.ReadBatch(ms, 0); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("at the deadline ReadBatch = %d, %v", n, err)
	}
	if s.buffer != nil {
		t.Error("a socket that waits has a buffer")
	}
	s.SetReadDeadline(time.Time{})
	ended := make(chan error, 1)
	go func() {
		_, err := s.ReadBatch(ms, 0)
		ended <- err
	}()
	s.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close ReadBatch = %v", err)
	}
}
