package carriertest

import (
	"io"
	"testing"
	"time"

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
		doneWithin(t, atOnce, "Close", func() { end.Close() })
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
		// The Write is under way when its first byte arrives. It cannot finish, because
		// nobody reads the rest.
		if _, err := io.ReadFull(peer, make([]byte, 1)); err != nil {
			t.Fatalf("Read: %v", err)
		}
		doneWithin(t, atOnce, "Close", func() { end.Close() })
		if err := receive(t, "Write that Close should wake", written); !isClosed(err) {
			t.Errorf("Write that Close woke returned %v, want net.ErrClosed", err)
		}
	})
}

func closeIsFinal(t *testing.T, target Target) {
	eachWay(t, target, func(t *testing.T, end, peer carrier.Conn) {
		// Read must not return after Close what arrived before it.
		if _, err := peer.Write([]byte("unread")); err != nil {
			t.Fatalf("Write: %v", err)
		}
		closed := make(chan struct{})
		for range 2 {
			go func() { end.Close(); closed <- struct{}{} }()
		}
		receive(t, "Close", closed)
		receive(t, "Close", closed)
		doneWithin(t, atOnce, "Close again", func() { end.Close() })
		if _, err := end.Read(make([]byte, 1)); !isClosed(err) {
			t.Errorf("Read after Close returned %v, want net.ErrClosed", err)
		}
		if _, err := end.Write([]byte{1}); !isClosed(err) {
			t.Errorf("Write after Close returned %v, want net.ErrClosed", err)
		}
	})
}

// prompt is how long the fastest of a few Closes may take. None of them may wait.
const prompt = 100 * time.Millisecond

func closeIsPrompt(t *testing.T, target Target) {
	for name, end := range map[string]func(pair) carrier.Conn{
		"Client": func(p pair) carrier.Conn { return p.client },
		"Server": func(p pair) carrier.Conn { return p.server },
	} {
		t.Run(name+"/Idle", func(t *testing.T) {
			checkPrompt(t, target, end, func(carrier.Conn) {})
		})
		t.Run(name+"/AfterCloseWrite", func(t *testing.T) {
			checkPrompt(t, target, end, func(conn carrier.Conn) {
				if _, err := io.WriteString(conn, "the last words"); err != nil {
					t.Fatalf("Write: %v", err)
				}
				if err := closeWriter(t, conn).CloseWrite(); err != nil {
					t.Fatalf("CloseWrite: %v", err)
				}
			})
		})
	}
}

// checkPrompt closes one end of a few connections, each after a call of prepare.
func checkPrompt(t *testing.T, target Target, end func(pair) carrier.Conn, prepare func(carrier.Conn)) {
	t.Helper()
	fastest := patience
	for range 3 {
		p := opened(t, target)
		conn := end(p)
		prepare(conn)
		began := time.Now()
		conn.Close()
		fastest = min(fastest, time.Since(began))
		p.on.close() // the next server may need its address
	}
	if fastest > prompt {
		t.Errorf("Close takes %v, want it to return at once", fastest)
	}
}
