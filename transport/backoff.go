package transport

import (
	"cmp"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// A Backoff says when a client connects again. The zero value means the defaults.
//
// The client waits for a random part of a time that begins with Min and doubles
// with each attempt in a row, up to Max, so that the clients of a server which was
// away come back one by one ("full jitter"). The time is never longer than the server has
// been away, and Min: when a server comes back that was away for 5 s, it has its clients
// again within 5.5 s, and what a handshake takes. But it also doubles with each session in a
// row that has not lasted for Stable. A server that answers with a Retry-After header adds
// that to the wait, an hour at most.
//
// A server that asks its client to move, or closes the session without a reason
// ([Server.Close]), is well: such a session is taken for stable once it has lasted for the
// time above, and a move waits for as long as the server says.
//
// A client that is refused, in a way that has nothing to do with time, comes back more
// and more seldom. It waits for half of a time that begins with Max and doubles with
// each refusal, up to MaxRefused, and for a random part of the other half. A Retry-After
// can make that longer, but not than MaxRefused. Refusals are
// the answers of a server, or of something on the way to it, but for the statuses 408,
// 409, 421, 425, 429 and 5xx; no multiplexer in common ([ErrNoCommonMux]); and sessions
// of no use, because there is another to the same server ([ErrAlreadyConnected]), or
// because the server does not speak yamux when nothing was offered. They are counted
// until there is a session of use.
type Backoff struct {
	// Min is the longest wait before the first attempt. 0 means 500 ms.
	Min time.Duration

	// Max is the longest wait but for refusals. 0 means 30 s; less than Min means Min.
	Max time.Duration

	// MaxRefused is the longest wait after a refusal: so long it may take until a client
	// is back when what refused it does not any more. 0 means 5 min; less than Max means
	// Max.
	MaxRefused time.Duration

	// Stable is how long a session has to last for the next wait to be as if it
	// was the first. 0 means 30 s.
	Stable time.Duration
}

const (
	defaultBackoffMin    = 500 * time.Millisecond
	defaultBackoffMax    = 30 * time.Second
	defaultBackoffStable = 30 * time.Second

	// defaultBackoffMaxRefused makes 220 requests a second of 50,000 clients that are
	// refused.
	defaultBackoffMaxRefused = 5 * time.Minute

	// maxRetryAfter is how long a server can make a client wait.
	maxRetryAfter = time.Hour
)

func (b Backoff) withDefaults() Backoff {
	b.Min = cmp.Or(max(b.Min, 0), defaultBackoffMin)
	b.Max = max(cmp.Or(b.Max, defaultBackoffMax), b.Min)
	b.MaxRefused = max(cmp.Or(b.MaxRefused, defaultBackoffMaxRefused), b.Max)
	b.Stable = cmp.Or(max(b.Stable, 0), defaultBackoffStable)
	return b
}

// bound is the longest wait before attempt n, the first of which is 0.
func (b Backoff) bound(n int) time.Duration { return doubled(b.Min, n, b.Max) }

// boundRefused is the longest wait after refusal n, the first of which is 0.
func (b Backoff) boundRefused(n int) time.Duration { return doubled(b.Max, n, b.MaxRefused) }

// doubled is d doubled n times, or most if that is less.
func doubled(d time.Duration, n int, most time.Duration) time.Duration {
	for ; n > 0 && d <= most/2; n-- { // so that it does not overflow
		d *= 2
	}
	if n > 0 {
		return most
	}
	return d
}

// wait is how long to wait before attempt n, after one that failed with err and so many
// short sessions, when the server has been away for so long.
func (b Backoff) wait(n, short int, away time.Duration, err error) time.Duration {
	bound := max(b.Min+min(b.bound(n)-b.Min, away), b.bound(short))
	return rand.N(bound) + retryAfter(err, time.Now())
}

// waitRefused is how long to wait after refusal n, which is err. It is never more than
// MaxRefused: the answer, and its Retry-After, may be somebody else's.
func (b Backoff) waitRefused(n int, err error) time.Duration {
	bound := b.boundRefused(n)
	asked := min(retryAfter(err, time.Now()), b.MaxRefused/2)
	return max(bound/2+rand.N(bound-bound/2), asked+rand.N(asked+1))
}

// retryAfter is what the server in err asks for (RFC 9110, section 10.2.3). A date is one
// of the clock that the answer has its Date from, if it has one.
func retryAfter(err error, now time.Time) (wait time.Duration) {
	for _, rejected := range rejections(err) {
		text := rejected.Header.Get("Retry-After")
		var d time.Duration
		if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
			d = time.Duration(seconds) * time.Second
		} else if at, err := http.ParseTime(text); err == nil {
			sent, err := http.ParseTime(rejected.Header.Get("Date"))
			if err != nil {
				sent = now
			}
			d = at.Sub(sent)
		}
		wait = max(wait, d)
	}
	return min(wait, maxRetryAfter)
}
