// Package workload proves what sessions deliver. A server asks its devices, over
// and over, and they answer; both sides keep records, and these have to agree,
// whatever the network did meanwhile:
//
//	var dialers workload.Dialers                  // the server's handler
//	server := transport.NewServer(&dialers, …)
//
//	device := workload.NewDevice(workload.Config{Number: 7})
//	lis, err := transport.DialAndListenContext(ctx, url, workload.Header(7), …)
//	go device.Serve(lis)
//
//	caller := workload.NewCaller(workload.Config{Number: 7})
//	caller.Run(ctx, dialers.Of(7)) // until ctx ends
//
//	report := workload.Verify(caller.Record(), device.Record())
//	err = report.Err(bound)
//
// An exchange is a stream on which requests and answers take turns for a few
// rounds. Each has a number, a body of random size and a checksum, and tells
// whether it is the last one, so that each end knows where the stream has to end.
// Afterwards
//
//   - a request whose answer has come was seen by the device;
//   - no request was seen twice;
//   - nothing has changed on the way;
//   - no stream has ended, as if its other end had finished it, before the last
//     round;
//   - no call has taken longer than a bound.
//
// An exchange may fail, if something fails that it needs: that is counted and no
// violation. A device costs a bit for each of its requests and a few hundred
// bytes, and no goroutine while it is idle, but for the one that accepts. All of
// this may be used by several goroutines at a time.
//
// The records are plain data: the two sides may be in different processes.
package workload

import (
	"cmp"
	"context"
	"math/bits"
	"math/rand/v2"
	"time"
)

// Config are settings of a [Caller] or a [Device].
type Config struct {
	// Number of the device, which is part of those of its requests.
	Number uint32

	// MaxSize is how many bytes a request or an answer carries at most. Most are
	// much smaller. Both sides need the same. 0 means 64 KiB.
	MaxSize int

	// Rounds is how many an exchange has at most. 0 means 4.
	Rounds int

	// Pause is how long a caller rests on average, between two rounds or two
	// exchanges: between nothing and twice that. 0 means 10 ms.
	Pause time.Duration

	// Timeout is how long an exchange may take; then it fails. It is for networks
	// on which a request can be lost for good although its session lives, which
	// are those that change what they carry. 0 means no bound.
	Timeout time.Duration

	// Now is the clock that measures calls. nil means [time.Now].
	Now func() time.Time

	// Seed of the sizes, rounds and pauses.
	Seed uint64
}

func (c Config) withDefaults() Config {
	c.MaxSize = cmp.Or(c.MaxSize, 64<<10)
	c.Rounds = cmp.Or(c.Rounds, 4)
	c.Pause = cmp.Or(c.Pause, 10*time.Millisecond)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// size returns that of a body: of all orders of magnitude, each as often.
func (c Config) size(r *rand.Rand) int {
	most := 1 << r.IntN(bits.Len(uint(c.MaxSize))+1)
	return r.IntN(min(most, c.MaxSize+1))
}

// pause waits for about d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
