package carriertest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/test/faultnet"
	"github.com/backdial/backdial/internal/test/testnet"
)

// plenty is how many bytes are carried: enough for late failures.
const plenty = 16 << 20

func carriesBytes(t *testing.T, target Target) {
	p := opened(t, target)
	carriesNothing(t, p)
	const up, down = 1, 2
	results := make(chan error)
	for name, direct := range map[string]func() error{
		"client's Write": func() error { return writeNoise(p.client, up, plenty) },
		"server's Write": func() error { return writeNoise(p.server, down, plenty) },
		"server's Read":  func() error { return readNoise(p.server, up, plenty) },
		"client's Read":  func() error { return readNoise(p.client, down, plenty) },
	} {
		go func() {
			err := direct()
			if err != nil {
				err = fmt.Errorf("%s: %w", name, err)
			}
			select {
			case results <- err:
			case <-t.Context().Done():
			}
		}()
	}
	for range 4 {
		if err := receiveWithin(t, 6*patience, "a direction", results); err != nil {
			t.Fatal(err) // the others may wait for this goroutine
		}
	}
}

// carriesNothing checks that calls with no bytes do not wait and change nothing.
func carriesNothing(t *testing.T, p pair) {
	for _, ends := range [][2]carrier.Conn{{p.client, p.server}, {p.server, p.client}} {
		from, to := ends[0], ends[1]
		pass := func(message string) {
			passed := start(func() error { return passes(from, to, message) })
			if err := receive(t, "passing on", passed); err != nil {
				t.Fatal(err)
			}
		}
		pass("before nothing")
		for name, call := range map[string]func([]byte) (int, error){"Read": to.Read, "Write": from.Write} {
			called := start(func() error {
				if n, err := call(nil); n != 0 || err != nil {
					return fmt.Errorf("%d, %w", n, err)
				}
				return nil
			})
			if err := receiveWithin(t, atOnce, name+" of no bytes", called); err != nil {
				t.Errorf("%s of no bytes returned %v", name, err)
			}
		}
		pass("after nothing")
	}
}

// noiseReader returns an endless [noise].
func noiseReader(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

// writeNoise writes size bytes of noise, in pieces of all sizes. It overwrites each piece
// after Write, because it then belongs to the caller again.
func writeNoise(conn carrier.Conn, seed byte, size int) error {
	noise, r := noiseReader(seed), rand.New(rand.NewPCG(uint64(seed), 3))
	p, before := make([]byte, maxSize), make([]byte, maxSize)
	for size > 0 {
		n := min(size, randomSize(r))
		noise.Read(p[:n])
		copy(before, p[:n])
		if written, err := conn.Write(p[:n]); written != n || err != nil {
			return fmt.Errorf("write of %d bytes returned %d, %w", n, written, err)
		}
		if !bytes.Equal(p[:n], before[:n]) {
			return errors.New("write changed its argument")
		}
		clear(p[:n])
		size -= n
	}
	return nil
}

// readNoise reads what writeNoise writes, and compares it.
func readNoise(conn carrier.Conn, seed byte, size int) error {
	noise, r := noiseReader(seed), rand.New(rand.NewPCG(uint64(seed), 5))
	p, want := make([]byte, maxSize), make([]byte, maxSize)
	for at := 0; at < size; {
		n, err := conn.Read(p[:min(size-at, randomSize(r))])
		noise.Read(want[:n])
		if !bytes.Equal(p[:n], want[:n]) {
			return fmt.Errorf("bytes %d to %d are not what was written", at, at+n)
		}
		if at += n; err != nil {
			return fmt.Errorf("read after %d of %d bytes: %w", at, size, err)
		}
	}
	return nil
}

// noise returns 1 MiB that depends only on seed.
func noise(seed byte) []byte {
	b := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// maxSize is larger than any buffer of a carrier.
const maxSize = 1 << 17

// randomSize returns a size that is often small and sometimes maxSize.
func randomSize(r *rand.Rand) int { return 1 + r.IntN(1<<r.IntN(18)) }

func writeAll(conn carrier.Conn, data []byte, r *rand.Rand) error {
	for len(data) > 0 {
		chunk := data[:min(len(data), randomSize(r))]
		before := bytes.Clone(chunk)
		if n, err := conn.Write(chunk); n != len(chunk) || err != nil {
			return fmt.Errorf("write of %d bytes returned %d, %w", len(chunk), n, err)
		}
		if !bytes.Equal(chunk, before) {
			return fmt.Errorf("write changed its argument")
		}
		data = data[len(chunk):]
	}
	return nil
}

func endsOneDirection(t *testing.T, target Target) {
	eachWay(t, target, func(t *testing.T, end, peer carrier.Conn) {
		half := closeWriter(t, end)
		const request, answer = "the last words", "the answer, which takes longer"
		if _, err := io.WriteString(end, request); err != nil {
			t.Fatalf("Write: %v", err)
		}
		if err := half.CloseWrite(); err != nil {
			t.Fatalf("CloseWrite: %v", err)
		}
		wantAll(t, peer, request)
		if n, err := peer.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("second Read after CloseWrite returned %d, %v, want io.EOF again", n, err)
		}
		if _, err := io.WriteString(peer, answer); err != nil {
			t.Fatalf("Write in the other direction: %v", err)
		}
		if err := closeWriter(t, peer).CloseWrite(); err != nil {
			t.Fatalf("CloseWrite of the other direction: %v", err)
		}
		wantAll(t, end, answer)
	})
}

func deliversBeforeClose(t *testing.T, target Target) {
	eachWay(t, target, func(t *testing.T, end, peer carrier.Conn) {
		half := closeWriter(t, end)
		data := noise(7)[:32<<10] // surely fits into buffers on the way
		if _, err := end.Write(data); err != nil {
			t.Fatalf("Write: %v", err)
		}
		if err := half.CloseWrite(); err != nil {
			t.Fatalf("CloseWrite: %v", err)
		}
		end.Close()
		wantAll(t, peer, string(data))
	})
}

// closeWriter returns conn as a CloseWriter, or skips t.
func closeWriter(t *testing.T, conn carrier.Conn) carrier.CloseWriter {
	t.Helper()
	half, ok := conn.(carrier.CloseWriter)
	if !ok {
		t.Skip("not a CloseWriter")
	}
	return half
}

// wantAll reads conn until io.EOF, and expects want.
func wantAll(t *testing.T, conn carrier.Conn, want string) {
	t.Helper()
	var got []byte
	read := start(func() (err error) { got, err = io.ReadAll(conn); return err })
	if err := receive(t, "Read", read); err != nil {
		t.Fatalf("Read after %d of %d bytes: %v", len(got), len(want), err)
	}
	if string(got) != want {
		t.Fatalf("got %d bytes, want the %d that were written", len(got), len(want))
	}
}

func cutIsNoEOF(t *testing.T, target Target) {
	accepted := make(chan carrier.Conn, 1)
	s := serve(t, target, func(w http.ResponseWriter, r *http.Request) {
		conn, err := target.Carrier.Upgrade(w, r, protocol)
		if err != nil {
			t.Errorf("Upgrade: %v", err)
			return
		}
		accepted <- conn
	})
	s.needNetwork(t, "tcp") // where the network can end a connection
	network := testnet.TCP(t, s.addr, 0)
	s.addr = network.Addr()
	client := s.dial(t, s.request(protocol))
	server := receive(t, "Upgrade", accepted)
	defer server.Close()
	for _, end := range []net.Conn{client, server} {
		if _, err := io.WriteString(end, "before the cut"); err != nil {
			t.Fatalf("Write: %v", err)
		}
	}
	got := make([]byte, len("before the cut"))
	for _, end := range []net.Conn{client, server} {
		if _, err := io.ReadFull(end, got); err != nil {
			t.Fatalf("Read: %v", err)
		}
	}
	network.Cut(faultnet.Finish)
	for name, end := range map[string]net.Conn{"client": client, "server": server} {
		read := start(func() error { _, err := end.Read(got); return err })
		if err := receive(t, "Read", read); err == nil || err == io.EOF {
			t.Errorf("%s: Read after the cut returned %v, want another error than io.EOF", name, err)
		}
	}
}
