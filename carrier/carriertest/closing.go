package carriertest

import (
	"io"
	"testing"

	"github.com/backdial/backdial/carrier"
)

func closeEndsPeer(t *testing.T, target Target) {
	eachWay(t, target, func(t *testing.T, end, peer carrier.Conn) {
		end.Close()
		read := start(func() error { _, err := io.Copy(io.Discard, peer); return err })
		receive(t, "the peer's Read after Close", read)
		written := start(func() error {
			for p := make([]byte, 4<<10); ; {
				if _, err := peer.Write(p); err != nil {
					return err
				}
			}
		})
		receive(t, "failing of the peer's Write after Close", written)
	})
}

func closeWakesRead(t *testing.T, target Target) {
	eachWay(t, target, func(t *testing.T, end, peer carrier.Conn) {
		first, second := make(chan error, 1), make(chan error, 1)
		go func() {
			p := make([]byte, 1)
			_, err := io.ReadFull(end, p)
			first <- err
			_, err = io.ReadFull(end, p)
			second <- err
		}()
		if _, err := peer.Write([]byte{1}); err != nil {
			t.Fatalf("Write: %v", err)
		}
		if err := receive(t, "Read", first); err != nil {
			t.Fatalf("Read: %v", err)
		}
		within(t, atOnce, "Close", func() { end.Close() })
		if err := receive(t, "Read that Close should wake", second); !isClosed(err) {
			t.Errorf("Read that Close woke returned %v, want net.ErrClosed", err)
		}
	})
}

func closeWakesWrite(t *testing.T, target Target) {
	// More than any kernel buffers.
	const size = 64 << 20
	eachWay(t, target, func(t *testing.T, end, peer carrier.Conn) {
		written := start(func() error { _, err := end.Write(make([]byte, size)); return err })
		// The Write is under way when its first byte arrives. It cannot finish,
		// because nobody reads the others.
		if _, err := io.ReadFull(peer, make([]byte, 1)); err != nil {
			t.Fatalf("Read: %v", err)
		}
		within(t, atOnce, "Close", func() { end.Close() })
		if err := receive(t, "Write that Close should wake", written); !isClosed(err) {
			t.Errorf("Write that Close woke returned %v, want net.ErrClosed", err)
		}
	})
}

func closeIsFinal(t *testing.T, target Target) {
	eachWay(t, target, func(t *testing.T, end, peer carrier.Conn) {
		// What has arrived and was not read is not read after Close either.
		if _, err := peer.Write([]byte("unread")); err != nil {
			t.Fatalf("Write: %v", err)
		}
		closed := make(chan struct{})
		for range 2 {
			go func() { end.Close(); closed <- struct{}{} }()
		}
		receive(t, "Close", closed)
		receive(t, "Close", closed)
		within(t, atOnce, "Close again", func() { end.Close() })
		if _, err := end.Read(make([]byte, 1)); !isClosed(err) {
			t.Errorf("Read after Close returned %v, want net.ErrClosed", err)
		}
		if _, err := end.Write([]byte{1}); !isClosed(err) {
			t.Errorf("Write after Close returned %v, want net.ErrClosed", err)
		}
	})
}

func endpointCloses(t *testing.T, target Target) {
	if _, ok := target.Carrier.(carrier.Listener); !ok {
		t.Skip("not a Listener")
	}
	p := plain(t, target)
	p.on.close()
	if err := receive(t, "Serve", p.on.serveErr); !isClosed(err) {
		t.Errorf("Serve of a closed endpoint returned %v, want net.ErrClosed", err)
	}
	p.on.close()

	echoed := start(func() error { _, err := io.CopyN(p.server, p.server, 5); return err })
	if err := echo(p.client, "hello"); err != nil {
		t.Errorf("after the endpoint closed: %v", err)
	}
	if err := receive(t, "echoing", echoed); err != nil {
		t.Errorf("server, after the endpoint closed: %v", err)
	}
	if err := p.on.try(t.Context()); err == nil {
		t.Error("Dial connected to a closed endpoint")
	}
}
