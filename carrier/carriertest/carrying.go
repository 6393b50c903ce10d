package carriertest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/faultnet"
	"github.com/backdial/backdial/internal/testnet"
)

func carriesBytes(t *testing.T, target Target) {
	p := plain(t, target)
	up, down := noise(1), noise(2)
	results := []<-chan error{
		start(func() error { return writeAll(p.client, up, rand.New(rand.NewPCG(3, 3))) }),
		start(func() error { return writeAll(p.server, down, rand.New(rand.NewPCG(4, 4))) }),
		start(func() error { return readAll(p.server, up, rand.New(rand.NewPCG(5, 5))) }),
		start(func() error { return readAll(p.client, down, rand.New(rand.NewPCG(6, 6))) }),
	}
	for _, r := range results {
		if err := receive(t, "a direction", r); err != nil {
			t.Error(err)
		}
	}
}

// noise returns 1 MiB that is the same for the same seed.
func noise(seed byte) []byte {
	b := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// randomSize returns a size that is often small and at times larger than any
// buffer of a carrier.
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

func readAll(conn carrier.Conn, want []byte, r *rand.Rand) error {
	for at := 0; at < len(want); {
		p := make([]byte, min(len(want)-at, randomSize(r)))
		n, err := conn.Read(p)
		if !bytes.Equal(p[:n], want[at:at+n]) {
			return fmt.Errorf("bytes %d to %d are not what was written", at, at+n)
		}
		if at += n; err != nil {
			return fmt.Errorf("read after %d of %d bytes: %w", at, len(want), err)
		}
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
			t.Fatalf("Write against the direction that ended: %v", err)
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
		data := noise(7)[:32<<10] // what buffers on the way surely take
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

// wantAll reads conn until io.EOF.
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
	if _, ok := target.Carrier.(carrier.Listener); ok {
		t.Skip("only the connections of an HTTP server can be cut from outside")
	}
	accepted := make(chan carrier.Conn, 1)
	s := serve(t, target, func(w http.ResponseWriter, r *http.Request) {
		conn, err := target.Carrier.Upgrade(w, r, protocol)
		if err != nil {
			t.Errorf("Upgrade: %v", err)
			return
		}
		accepted <- conn
	})
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
