package ws_test

import (
	"bufio"
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
)

// The first bytes of frames that are not fragments.
const (
	fin          = 0x80
	continuation = 0x0
	text         = 0x1
	binary2      = 0x2
	closing      = 0x8
	ping         = 0x9
	pong         = 0xa
)

// A peer is the other end of a connection of this package. It writes frames by hand,
// with its own idea of how.
type peer struct {
	t     *testing.T
	conn  net.Conn
	r     *bufio.Reader
	masks bool // as a client does
}

// ends are the two kinds of end of a connection of this package.
var ends = []struct {
	name string
	make func(*testing.T) (carrier.MessageConn, *peer)
}{
	{"Server", ownServer},
	{"Client", ownClient},
}

// eachEnd runs test with the connection of a server, and with that of a client.
func eachEnd(t *testing.T, test func(t *testing.T, own carrier.MessageConn, p *peer)) {
	t.Helper()
	for _, end := range ends {
		t.Run(end.name, func(t *testing.T) {
			leak.Check(t)
			own, p := end.make(t)
			test(t, own, p)
		})
	}
}

// ownServer makes the connection of a server.
func ownServer(t *testing.T) (carrier.MessageConn, *peer) {
	t.Helper()
	accepted := make(chan carrier.Conn, 1)
	addr := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		conn, err := ws.New().Upgrade(w, r, "")
		if err != nil {
			t.Errorf("Upgrade: %v", err)
		}
		accepted <- conn
	})
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := opening(nil).Write(conn); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	if answer, err := http.ReadResponse(r, nil); err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("answer %v, %v", answer, err)
	}
	own := await.From(t, "Upgrade", accepted)
	t.Cleanup(func() { own.Close() })
	return bounded(t, own), newPeer(t, conn, r, true)
}

// ownClient makes the connection of a client.
func ownClient(t *testing.T) (carrier.MessageConn, *peer) {
	t.Helper()
	accepted, done := make(chan net.Conn, 1), make(chan struct{})
	addr := serveRaw(t, func(conn net.Conn) {
		accept(conn, "")
		accepted <- conn
		<-done
	})
	t.Cleanup(func() { close(done) })
	own, err := dial(t, ws.New(), "ws://"+addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn := await.From(t, "the handshake", accepted)
	return bounded(t, own), newPeer(t, conn, bufio.NewReader(conn), false)
}

// bounded returns conn, which is closed when a test takes too long.
func bounded(t *testing.T, conn carrier.Conn) carrier.MessageConn {
	late := time.AfterFunc(3*patience, func() { conn.Close() })
	t.Cleanup(func() { late.Stop() })
	return conn.(carrier.MessageConn)
}

func newPeer(t *testing.T, conn net.Conn, r *bufio.Reader, masks bool) *peer {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(3 * patience))
	return &peer{t, conn, r, masks}
}

// frame returns a frame, with the shortest form of its length.
func (p *peer) frame(first byte, payload string) []byte {
	return p.frameOf(first, int64(len(payload)), payload)
}

// frameOf is frame with a payload that has been cut.
func (p *peer) frameOf(first byte, size int64, payload string) []byte {
	b := []byte{first, 0}
	switch {
	case size <= 125:
		b[1] = byte(size)
	case size <= 0xffff:
		b[1] = 126
		b = binary.BigEndian.AppendUint16(b, uint16(size))
	default:
		b[1] = 127
		b = binary.BigEndian.AppendUint64(b, uint64(size))
	}
	if !p.masks {
		return append(b, payload...)
	}
	b[1] |= 0x80
	key := []byte{0xa1, 0x02, 0xc3, 0x74}
	return append(append(b, key...), masked(payload, key)...)
}

// masked returns payload masked or unmasked with key.
func masked(payload string, key []byte) []byte {
	b := make([]byte, len(payload))
	subtle.XORBytes(b, []byte(payload), bytes.Repeat(key, len(payload)/4+1))
	return b
}

// fragments returns a message in frames of at most size bytes.
func (p *peer) fragments(first byte, payload string, size int) [][]byte {
	var frames [][]byte
	for rest := payload; ; {
		n := min(size, len(rest))
		if n == len(rest) {
			return append(frames, p.frame(first|fin, rest))
		}
		frames = append(frames, p.frame(first, rest[:n]))
		rest, first = rest[n:], continuation
	}
}

// send writes frames, all at once or in chops.
func (p *peer) send(chop int, frames ...[]byte) {
	p.t.Helper()
	for piece := range slices.Chunk(slices.Concat(frames...), chop) {
		if _, err := p.conn.Write(piece); err != nil {
			p.t.Logf("send: %v", err) // the other end may have had enough
			return
		}
	}
}

// atOnce does not chop.
const atOnce = 1 << 30

// next returns the next frame, and expects it to be whole, and masked if it must be.
func (p *peer) next() (op byte, payload []byte, err error) {
	var b [14]byte
	if _, err := io.ReadFull(p.r, b[:2]); err != nil {
		return 0, nil, err
	}
	if b[0]&0xf0 != fin {
		return 0, nil, fmt.Errorf("a frame begins with %#x", b[0])
	}
	if b[1]&0x80 != 0 == p.masks {
		return 0, nil, fmt.Errorf("a header begins with % x", b[:2])
	}
	op = b[0] &^ fin
	size, shortest := int(b[1]&0x7f), 0
	switch size {
	case 126:
		if _, err := io.ReadFull(p.r, b[:2]); err != nil {
			return 0, nil, err
		}
		size, shortest = int(binary.BigEndian.Uint16(b[:])), 126
	case 127:
		if _, err := io.ReadFull(p.r, b[:8]); err != nil {
			return 0, nil, err
		}
		size, shortest = int(binary.BigEndian.Uint64(b[:])), 1<<16
	}
	if size < shortest {
		return 0, nil, fmt.Errorf("length %d takes too many bytes", size)
	}
	key := make([]byte, 4)
	if !p.masks {
		if _, err := io.ReadFull(p.r, key); err != nil {
			return 0, nil, err
		}
	}
	payload = make([]byte, size)
	if _, err := io.ReadFull(p.r, payload); err != nil {
		return 0, nil, err
	}
	return op, masked(string(payload), key), nil
}

// want expects a frame.
func (p *peer) want(op byte, payload string) {
	p.t.Helper()
	gotOp, got, err := p.next()
	if gotOp != op || string(got) != payload || err != nil {
		p.t.Errorf("frame of opcode %d with %d bytes (%.40q), %v, want opcode %d with %d (%.40q)",
			gotOp, len(got), got, err, op, len(payload), payload)
	}
}

// status is the content of a close frame.
func status(code int, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason
}

// noise returns bytes that depend only on the seed.
func noise(seed byte, size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}
