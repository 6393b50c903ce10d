package webtransport

import (
	"encoding/binary"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
)

const (
	// retryQueue is how many Retry packets quic-go queues. When its queue is full, it drops
	// the client's packet, an honest one's too, which that client repeats after 200 ms.
	retryQueue = 8

	// retryPatience is how long [retries.begin] waits for room. Sending a packet takes
	// microseconds, unless the kernel does not run this process.
	retryPatience = 500 * time.Millisecond
)

// retries count the Retry packets (RFC 9000, section 17.2.5) that quic-go has decided to
// send and has not sent yet. One goroutine of quic-go calls begin, another one sent. Both
// may be called on nil, which counts nothing.
type retries struct {
	queued atomic.Int32
	room   chan struct{} // has a token if one was sent since begin last looked
}

func newRetries() *retries { return &retries{room: make(chan struct{}, 1)} }

// begin waits until quic-go's queue has room for another one. Meanwhile first packets of
// clients wait in another queue of quic-go, which is longer, and then in the kernel.
func (r *retries) begin() {
	if r == nil {
		runtime.Gosched() // to the goroutine that sends
		return
	}
	if r.queued.Load() >= retryQueue {
		late := time.NewTimer(retryPatience)
		defer late.Stop()
		for r.queued.Load() >= retryQueue {
			select {
			case <-r.room:
			case <-late.C:
				r.queued.Store(0) // some were given up
			}
		}
	}
	r.queued.Add(1)
}

// sent is called with each packet that is sent.
func (r *retries) sent(packet []byte) {
	if r == nil || !isRetry(packet) {
		return
	}
	if r.queued.Add(-1) < 0 {
		r.queued.Store(0)
	}
	select {
	case r.room <- struct{}{}:
	default:
	}
}

// isRetry reports whether a packet is a Retry packet. The type has another number in
// version 2 (RFC 9369, section 3.2).
func isRetry(packet []byte) bool {
	if len(packet) < 5 || packet[0]&0x80 == 0 {
		return false
	}
	kind := packet[0] >> 4 & 3
	switch quic.Version(binary.BigEndian.Uint32(packet[1:])) {
	case quic.Version1:
		return kind == 3
	case quic.Version2:
		return kind == 0
	}
	return false
}
