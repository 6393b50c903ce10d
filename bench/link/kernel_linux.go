package link

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// A Kernel is a path through the kernel: a network device (a TUN) whose packets it delays
// and loses. TCP has its congestion control, slow start and recovery from loss there, and
// QUIC what it has anyway. Making one needs the right to administer the network.
//
// A packet to Far comes back to Near as if from Far. So a server at Near is reached at
// Far, from the same machine and nevertheless through the device.
type Kernel struct {
	Near string // IP address at which servers listen
	Far  string // IP address at which clients reach them

	device   *os.File
	up, down lane4
	mu       sync.Mutex          // guards below
	servers  map[uint16]struct{} // ports
	wg       sync.WaitGroup
	stop     context.CancelFunc
}

// A lane4 is one direction of a Kernel.
type lane4 struct {
	*wire
	*queue[[]byte]
}

// ErrNotHere matches the error of [OpenKernel] where the system has no such device, or the
// user may not make it.
var ErrNotHere = errors.New("there can be no path through the kernel here")

// OpenKernel makes a path whose TCP connections have a congestion control such as cubic.
func OpenKernel(c Conditions, congestion string) (k *Kernel, err error) {
	if err := knows(congestion); err != nil {
		return nil, err
	}
	ip, err := exec.LookPath("ip")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotHere, err)
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: open a device: %w", ErrNotHere, err)
	}
	request, err := unix.NewIfreq("") // the kernel finds a name
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("%w: make a device: %w", ErrNotHere, err)
	}
	// 198.18.0.0/15 is for benchmarks (RFC 2544). Where a path has been before, the kernel
	// remembers how it was.
	block := rand.IntN(1 << 15)
	address := func(host int) string {
		return fmt.Sprintf("198.%d.%d.%d", 18+block>>14, block>>6&255, block&63*4+host)
	}
	k = &Kernel{
		Near: address(1), Far: address(2),
		device: os.NewFile(uintptr(fd), "tun"),
		// Each path loses others: a second or two are few losses, and some hurt more.
		up:      lane4{newWire(c, rand.Uint64()), newQueue[[]byte]()},
		down:    lane4{newWire(c, rand.Uint64()), newQueue[[]byte]()},
		servers: make(map[uint16]struct{}),
	}
	for _, arguments := range []string{
		"address add " + k.Near + "/30 dev " + request.Name(),
		"link set " + request.Name() + " mtu 1500 txqueuelen 10000 up",
		"route replace " + k.Far + " dev " + request.Name() + " congctl " + congestion,
	} {
		if out, err := exec.Command(ip, strings.Fields(arguments)...).CombinedOutput(); err != nil {
			k.device.Close()
			return nil, fmt.Errorf("%w: ip %s: %w: %s", ErrNotHere, arguments, err, out)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	k.stop = stop
	k.wg.Go(k.receive)
	for _, l := range []lane4{k.up, k.down} {
		k.wg.Go(func() { k.deliver(ctx, l) })
	}
	return k, nil
}

// knows returns an error if the kernel has no such congestion control.
func knows(congestion string) error {
	const list = "/proc/sys/net/ipv4/tcp_available_congestion_control"
	all, err := os.ReadFile(list)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotHere, err)
	}
	for known := range strings.FieldsSeq(string(all)) {
		if known == congestion {
			return nil
		}
	}
	return fmt.Errorf("%w: the kernel has no %s, but %s", ErrNotHere, congestion, strings.TrimSpace(string(all)))
}

// Reach returns the address at which clients reach the server that listens at addr, an
// address of Near.
func (k *Kernel) Reach(addr string) (string, error) {
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return "", err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.servers[uint16(a.Port)] = struct{}{}
	a.IP = net.ParseIP(k.Far)
	return a.String(), nil
}

// Heal stops delays and losses, so that connections end soon.
func (k *Kernel) Heal() {
	k.up.heal()
	k.down.heal()
}

// Close removes the device. It does not tell the ends of connections through it. It may be
// called again.
func (k *Kernel) Close() error {
	k.stop()
	err := k.device.Close()
	k.wg.Wait()
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}
	return err
}

// receive takes packets from the device until that is closed.
func (k *Kernel) receive() {
	buf := make([]byte, 1<<16)
	for {
		n, err := k.device.Read(buf)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		l, ok := k.lane(buf[:n])
		if !ok {
			continue
		}
		if arrival, lost := l.offer(n); !lost {
			packet := append([]byte(nil), buf[:n]...)
			// What was for Far comes from there. The checksums do not change.
			var from [4]byte
			copy(from[:], packet[12:16])
			copy(packet[12:16], packet[16:20])
			copy(packet[16:20], from[:])
			l.put(packet, arrival)
		}
	}
}

// lane finds the direction of a packet.
func (k *Kernel) lane(packet []byte) (l lane4, ok bool) {
	if len(packet) < 24 || packet[0]>>4 != 4 || packet[9] != unix.IPPROTO_TCP && packet[9] != unix.IPPROTO_UDP {
		return lane4{}, false
	}
	header := int(packet[0]&15) * 4
	if len(packet) < header+4 {
		return lane4{}, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, served := k.servers[binary.BigEndian.Uint16(packet[header:])]; served {
		return k.down, true
	}
	return k.up, true
}

// deliver gives the kernel what is due.
func (k *Kernel) deliver(ctx context.Context, l lane4) {
	var due [][]byte
	for {
		var ok bool
		if due, ok = l.take(ctx, due[:0]); !ok {
			return
		}
		for _, packet := range due {
			k.device.Write(packet) // or it is lost, as packets are
		}
	}
}
