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
// The client waits for a random part of a limit ("full jitter"), so that the clients of a
// server that was away come back one by one. The limit begins with Min and doubles with each
// failed attempt in a row, up to Max. It is never more than Min plus the time for which the
// server has been away: a server that was away for 5 s has its clients back within 5.5 s, and
// the time of a handshake. But the limit also doubles with each session in a row that did not
// last for Stable. A Retry-After header of the server's adds to the wait, an hour at most.
//
// A server that asks its client to move, or closes the session without a reason
// ([Server.Close]), is healthy. Such a session counts as stable once it has lasted for the limit
// above, and a move waits for as long as the server says.
//
// After a refusal that has nothing to do with time, the client comes back less and less often.
// It waits for half of a limit that begins with Max and doubles with each refusal, up to
// MaxRefused, and for a random part of the other half. A Retry-After header can make that
// longer, but not more than MaxRefused. Refusals are:
//
//   - answers of a server, or of something on the way to it, except with status 408, 409, 421,
//     425, 429 and 5xx
//   - no multiplexer in common ([ErrNoCommonMux])
//   - sessions without use, because there is another to the same server
//     ([ErrAlreadyConnected]), or because the server does not use yamux although the client
//     offered nothing
//
// They count until there is a session of use.
//
// A client always waits: in each field, 0 and negative values mean the default.
type Backoff struct {
	// Min is the longest wait before the first attempt. 0 means 500 ms.
	Min time.Duration

	// Max is the longest wait, except after refusals. 0 means 30 s; less than Min means Min.
	Max time.Duration

	// MaxRefused is the longest wait after a refusal: a client may need so long to return once
	// nothing refuses it any more. 0 means 5 min; less than Max means Max.
	MaxRefused time.Duration

	// Stable is how long a session must last for the next wait to be as short as the first. 0
	// means 30 s.
	Stable time.Duration
}

const (
	defaultBackoffMin    = 500 * time.Millisecond
	defaultBackoffMax    = 30 * time.Second
	defaultBackoffStable = 30 * time.Second

	// defaultBackoffMaxRefused makes 220 requests a second of 50,000 clients that are refused.
	defaultBackoffMaxRefused = 5 * time.Minute

	// maxRetryAfter is how long a server can make a client wait.
	maxRetryAfter = time.Hour
)

func (b Backoff) withDefaults() Backoff {
	b.Min = cmp.Or(max(b.Min, 0), defaultBackoffMin)
	b.Max = max(cmp.Or(max(b.Max, 0), defaultBackoffMax), b.Min)
	b.MaxRefused = max(cmp.Or(max(b.MaxRefused, 0), defaultBackoffMaxRefused), b.Max)
	b.Stable = cmp.Or(max(b.Stable, 0), defaultBackoffStable)
	return b
}

// bound returns the longest wait before attempt n, which counts from 0.
func (b Backoff) bound(n int) time.Duration { return doubled(b.Min, n, b.Max) }

// boundRefused returns the longest wait after refusal n, which counts from 0.
func (b Backoff) boundRefused(n int) time.Duration { return doubled(b.Max, n, b.MaxRefused) }

// doubled returns d doubled n times, or most if that is less.
func doubled(d time.Duration, n int, most time.Duration) time.Duration {
	for ; n > 0 && d <= most/2; n-- { // d does not overflow
		d *= 2
	}
	if n > 0 {
		return most
	}
	return d
}

// wait returns the wait before attempt n, after an attempt that failed with err and so many
// short sessions, when the server has been away for so long.
func (b Backoff) wait(n, short int, away time.Duration, err error) time.Duration {
	bound := max(b.Min+min(b.bound(n)-b.Min, away), b.bound(short))
	return rand.N(bound) + retryAfter(err, time.Now())
}

// waitRefused returns the wait after refusal n, which is err. It is at most MaxRefused: the
// answer and its Retry-After may come from something on the way.
func (b Backoff) waitRefused(n int, err error) time.Duration {
	bound := b.boundRefused(n)
	asked := min(retryAfter(err, time.Now()), b.MaxRefused/2)
	return max(bound/2+rand.N(bound-bound/2), asked+rand.N(asked+1))
}

// retryAfter returns the wait that the server in err asks for (RFC 9110, section 10.2.3). A
// date is relative to the Date of the answer, if it has one.
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
