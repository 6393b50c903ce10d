package recv

import (
	"cmp"
	"runtime"
	"time"
)

// Interval is how often streams are looked at while memory is tight. Idle sessions, and
// those whose readers keep up, pay nothing for it.
const Interval = 100 * time.Millisecond

const (
	// patience is how long a stream may rest if fewer than hardly bytes of it have been
	// read, a quarter of the smallest window.
	patience = 600 * time.Millisecond
	hardly   = 64 << 10

	// readPatience is the default for how long any other stream may rest.
	readPatience = 3 * time.Second

	// readWithin is how long a reader may take to read what its stream holds.
	readWithin = 10 * time.Second
)

// A gauge measures how a stream is read while memory is tight. Its times are on the clock
// of its [Watch].
//
// A stream is abandoned when it holds something that nobody has read for twice as long as
// its reader has ever rested since memory became tight, but at least for
// [Watch.Patience], or for [patience] if the stream has hardly been read at all. A stream
// that is read, but so slowly that its reader takes more than [readWithin] for what it
// holds, may also go if the session as a whole is that slow: all others wait for it.
type gauge struct {
	patience time.Duration // of the watch

	consumed uint64        // bytes read when it was last looked at
	read     time.Duration // when consumed last grew, or the gauge began
	rest     time.Duration // the longest time between two reads; 0 if none is known

	since time.Duration // when measuring the pace began
	from  uint64        // consumed then
	last  float64       // the pace measured before

	holds int    // bytes that wait to be read
	round uint64 // the watch's round in which the stream was last seen
}

// look notes how far the reader has come, and reports whether it has read.
func (g *gauge) look(now time.Duration, p Progress) (read bool) {
	read = p.Consumed != g.consumed
	if read {
		g.rest = max(g.rest, now-g.read)
	}
	if read || p.Holds == 0 { // an empty stream does not rest: its reader waits
		g.read = now
	}
	if p.Holds == 0 { // nor is its reader slow
		g.since, g.from, g.last = now, p.Consumed, 0
	}
	g.consumed, g.holds = p.Consumed, p.Holds
	return read
}

// least is how long the stream may always rest.
func (g *gauge) least() time.Duration {
	if g.consumed < hardly {
		return patience
	}
	return g.patience
}

// span is how long a stream is watched before its pace is known. A reader that reads in
// bursts must be watched for longer, or it may be seen only in a burst or only at rest.
func (g *gauge) span() time.Duration {
	if g.consumed < hardly {
		return patience
	}
	return 2 * g.patience
}

// abandoned reports whether the stream counts as not read any more.
func (g *gauge) abandoned(now time.Duration) bool {
	most := g.least()
	if g.consumed >= hardly {
		most = min(max(2*g.rest, most), readWithin)
	}
	return now-g.read > most
}

// pace is the bytes per second that have been read since measuring began, if that was
// long enough ago, and before otherwise. It is 0 if neither is known.
func (g *gauge) pace(now time.Duration) float64 {
	took := now - g.since
	if took < g.span() {
		return g.last
	}
	return float64(g.consumed-g.from) / took.Seconds()
}

// slow reports whether the reader takes too long for what the stream holds.
func (g *gauge) slow(now time.Duration) bool {
	pace := g.pace(now)
	return pace > 0 && float64(g.holds) > pace*readWithin.Seconds()
}

// renew restarts the measurement of the pace once enough time has passed.
func (g *gauge) renew(now time.Duration) {
	if g.consumed >= hardly && now-g.since > 2*g.span() && g.consumed > g.from {
		g.last, g.since, g.from = g.pace(now), now, g.consumed
	}
}

// A Progress is how far a stream has been read.
type Progress struct {
	Consumed uint64 // bytes read in total
	Holds    int    // bytes that wait to be read
}

// A Watch holds the gauges of a session's streams, S, while memory is tight. It is for
// one goroutine at a time. The zero value knows no streams.
type Watch[S comparable] struct {
	// Patience is how long a stream that has been read may rest, whatever is known of its
	// reader. 0 means 3 s.
	Patience time.Duration

	gauges map[S]*gauge
	round  uint64
	looked time.Time     // time of the last Look
	now    time.Duration // time passed, without time in which readers could not run
}

// Ready lets goroutines run that are ready to, so that a reader that only waits for a
// processor is not taken for one that rests. It is called before the progress for Look is
// measured.
func (w *Watch[S]) Ready() { runtime.Gosched() }

// Look looks at the streams, and reports whether any has been read since the last Look.
// It is called about every [Interval].
func (w *Watch[S]) Look(streams map[S]Progress) (read bool) {
	if w.gauges == nil {
		w.gauges = make(map[S]*gauge)
	}
	// A look that is late has waited for a processor, and so have readers.
	now := time.Now()
	if !w.looked.IsZero() {
		w.now += min(now.Sub(w.looked), Interval)
	}
	w.looked = now
	w.round++
	for st, p := range streams {
		g := w.gauges[st]
		if g == nil {
			g = &gauge{patience: cmp.Or(w.Patience, readPatience), consumed: p.Consumed, read: w.now, since: w.now, from: p.Consumed}
			w.gauges[st] = g
		}
		g.round = w.round
		read = g.look(w.now, p) || read
	}
	for st, g := range w.gauges {
		if g.round != w.round {
			delete(w.gauges, st)
		}
		g.renew(w.now)
	}
	return read
}

// Abandoned returns the streams that may be shed.
func (w *Watch[S]) Abandoned() (abandoned []S) {
	slow := w.slow()
	for st, g := range w.gauges {
		if g.holds > 0 && (g.abandoned(w.now) || slow && g.slow(w.now)) {
			abandoned = append(abandoned, st)
		}
	}
	return abandoned
}

// slow reports whether all readers together take too long for what all streams hold.
func (w *Watch[S]) slow() bool {
	holds, pace := 0, 0.0
	for _, g := range w.gauges {
		holds += g.holds
		pace += g.pace(w.now)
	}
	return float64(holds) > pace*readWithin.Seconds()
}
