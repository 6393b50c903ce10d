// Package workload proves what sessions deliver. A server asks its devices, over and
// over, and they answer. Both sides keep records, which must agree, whatever the network
// did meanwhile:
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
// An exchange is a stream on which requests and answers alternate for a few rounds. Each
// message has a number, a body of random size and a checksum, and says whether it is in
// the last round, so that each end knows where the stream must end. Afterwards
//
//   - the device has seen every request that was answered;
//   - no request was seen twice;
//   - nothing has changed on the way;
//   - no stream has ended before the last round as if its other end had finished it;
//   - no call has taken longer than a bound.
//
// An exchange may fail, if something fails that it needs: that is counted, but is not a
// violation. A device costs a bit for each of its requests and a few hundred bytes. When
// idle it has one goroutine, which accepts. Multiple goroutines may use all of this at
// the same time.
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

// Config holds the settings of a [Caller] or a [Device].
type Config struct {
	// Number of the device, which is part of the numbers of its requests.
	Number uint32

	// MaxSize is the largest size of a request's or answer's body, in bytes. Most are much
	// smaller. Both sides need the same value. 0 means 64 KiB.
	MaxSize int

	// Rounds is the largest number of rounds in an exchange. 0 means 4.
	Rounds int

	// Pause is how long a caller rests on average between two rounds or two exchanges:
	// between nothing and twice that. 0 means 10 ms.
	Pause time.Duration

	// Timeout is how long an exchange may take before it fails. It is for networks that
	// change what they carry: there a request can be lost for good although its session
	// lives. 0 means no limit.
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

// size returns the size of a body. All orders of magnitude are equally frequent.
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
