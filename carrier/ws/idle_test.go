package ws_test

import (
	"io"
	"net/http"
	"runtime"
	"sync"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
)

// TestIdleMemory measures connections that have been used, with both ends waiting for the
// next message. It counts what the net package has for a connection, and no goroutines.
func TestIdleMemory(t *testing.T) {
	leak.Check(t)
	const pairs, most = 100, 3700 // bytes for each end
	accepted := make(chan carrier.Conn, 1)
	addr := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		conn, err := ws.New().Upgrade(w, r, "")
		if err != nil {
			t.Errorf("Upgrade: %v", err)
		}
		accepted <- conn
	})
	ended := make(chan error)
	t.Cleanup(func() { // when all are closed
		for range 2 * (pairs + 1) {
			<-ended
		}
	})
	waits := func(conn carrier.MessageConn) { _, err := conn.NextMessage(1); ended <- err }
	connect := func() {
		client, err := dial(t, ws.New(), "ws://"+addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		server := await.From(t, "Upgrade", accepted)
		t.Cleanup(func() { server.Close() })
		for _, way := range [][2]carrier.MessageConn{
			{client.(carrier.MessageConn), server.(carrier.MessageConn)},
			{server.(carrier.MessageConn), client.(carrier.MessageConn)},
		} {
			for _, size := range []int{10, 5000, 60_000} {
				if _, err := way[0].Write(make([]byte, size)); err != nil {
					t.Fatal(err)
				}
				if n, err := way[1].NextMessage(size); n != size || err != nil {
					t.Fatalf("a message of %d bytes, %v", n, err)
				}
				if _, err := io.ReadFull(way[1], make([]byte, size)); err != nil {
					t.Fatal(err)
				}
			}
		}
		go waits(client.(carrier.MessageConn))
		go waits(server.(carrier.MessageConn))
	}
	heap := func() uint64 {
		var m runtime.MemStats
		for range 3 { // which empties pools
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	connect() // pays the fixed cost
	goroutines(20 * pairs)
	before := heap()
	for range pairs {
		connect()
	}
	after := heap()
	each := (int64(after) - int64(before)) / (2 * pairs)
	t.Logf("%d bytes of memory for each end", each)
	if each > most {
		t.Errorf("%d bytes of memory for each end, want %d at most", each, most)
	}
}

// goroutines has the runtime allocate so many goroutines. It keeps them for later ones, so what a
// busy machine needs of them for a moment does not count as memory of connections.
func goroutines(n int) {
	var wg sync.WaitGroup
	end := make(chan struct{})
	for range n {
		wg.Go(func() { <-end })
	}
	close(end)
	wg.Wait()
}
