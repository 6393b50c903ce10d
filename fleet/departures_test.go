package fleet_test

import (
	"fmt"
	"net/http"
	"runtime"
	"testing"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/transport"
)

// TestDepartureMemory measures the memory of clients that come and go, which the fleet
// remembers.
func TestDepartureMemory(t *testing.T) {
	leak.Check(t)
	const clients, most = 2000, 2 << 10
	s := newSite(t)
	visits := func(from, to int) {
		for i := from; i < to; i++ {
			header := http.Header{"Deviceid": {fmt.Sprintf("device-%d", i)}}
			lis, err := transport.DialAndListenContext(t.Context(), "mem://server", header, transport.WithCarriers(s.network))
			if err != nil {
				t.Fatal(err)
			}
			lis.Close()
		}
		await.Until(t, "all have left", func() bool { return s.Stats().Sessions == 0 })
	}
	held := func() int64 {
		var m runtime.MemStats
		for range 3 { // which empties pools
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	visits(0, 100) // pays the fixed cost
	before := held()
	visits(100, 100+clients)
	each := (held() - before) / clients
	t.Logf("%d bytes for each client that has left", each)
	if each > most {
		t.Errorf("%d bytes for each client that has left, want %d at most", each, most)
	}
}
