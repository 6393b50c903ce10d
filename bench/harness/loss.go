package harness

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/backdial/backdial/bench/link"
)

// Loss has the client far from the server, on a path that loses 1 % of all packets, with
// the kernel's TCP at both ends: with cubic, which is its default, and with BBR. To QUIC
// both are the same. Otherwise it is Distance. Rows are skipped where the process may not
// make the path, or the kernel has no BBR.
func Loss(b *testing.B, subjects []Subject) {
	rtts := []time.Duration{20 * time.Millisecond, 100 * time.Millisecond}
	if testing.Short() {
		rtts = rtts[:1]
	}
	for _, rtt := range rtts {
		for _, congestion := range []string{"cubic", "bbr"} {
			b.Run(fmt.Sprintf("rtt=%v/tcp=%s", rtt, congestion), func(b *testing.B) {
				c := link.Conditions{RTT: rtt, Rate: 100e6, Queue: 20 * time.Millisecond, Loss: 0.01}
				each(b, subjects, func(b *testing.B, s Subject) {
					k, err := link.OpenKernel(c, congestion)
					if errors.Is(err, link.ErrNotHere) {
						b.Skip(err)
					}
					if err != nil {
						b.Fatal(err)
					}
					busy := runtime.NumGoroutine()
					b.Cleanup(func() {
						k.Heal()
						settle(busy) // once one end is closed, the other is told by the path
						k.Close()
					})
					distance(b, s, through{b, k}, c, 3*time.Second) // for some hundred losses
				})
			})
		}
	}
}
