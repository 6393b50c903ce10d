package metrics

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backdial/backdial/transport"
	"github.com/backdial/backdial/transport/outcome"
)

// sessionBuckets begin with a second, for sessions that fail at once, and end with a day, when
// servers ask clients to move.
var sessionBuckets = []float64{1, 10, 60, 600, 3600, 6 * 3600, 12 * 3600, 18 * 3600, 24 * 3600}

// countSessions counts sessions and their streams.
func (c *Collector) countSessions() {
	s := &sessions{
		now:           c.gauges("sessions", "Sessions now.", "carrier", "mux"),
		opened:        c.counters("sessions_opened_total", "Sessions opened.", "carrier", "mux"),
		closed:        c.counters("sessions_closed_total", "Ended sessions, by reason.", "carrier", "mux", "reason"),
		lasted:        c.histograms("session_duration_seconds", "Duration of ended sessions.", sessionBuckets, "carrier", "mux"),
		streams:       c.gauges("streams", "Streams now: dialled or accepted, and not yet closed by the application.", "carrier", "mux"),
		streamsOpened: c.counters("streams_opened_total", "Streams dialled or accepted.", "carrier", "mux"),
		failed:        c.counters("stream_errors_total", "Streams with a failed Read or Write, by reason.", "carrier", "mux", "reason"),
		read:          c.counters("stream_read_bytes_total", "Bytes read from streams.", "carrier", "mux"),
		written:       c.counters("stream_written_bytes_total", "Bytes written to streams.", "carrier", "mux"),
	}
	s.known.Store(&map[stack]*series{})
	c.trace.ClientConnected = func(i transport.Info) {
		of := s.of(stack{i.Carrier, i.Mux})
		of.now.Inc()
		of.opened.Inc()
	}
	c.trace.ClientGone = func(i transport.Info, err error) {
		of := s.of(stack{i.Carrier, i.Mux})
		of.now.Dec()
		of.closed[transport.EndReasonOf(err)].Inc()
		of.lasted.Observe(time.Since(i.Since).Seconds())
	}
	c.trace.StreamOpened = func(i transport.Info) {
		of := s.of(stack{i.Carrier, i.Mux})
		of.streams.Inc()
		of.streamsOpened.Inc()
	}
	c.trace.StreamMoved = func(i transport.Info, read, written int) {
		of := s.of(stack{i.Carrier, i.Mux})
		if read > 0 {
			of.read.Add(float64(read))
		}
		if written > 0 {
			of.written.Add(float64(written))
		}
	}
	c.trace.StreamClosed = func(i transport.Info, stats transport.StreamStats) {
		of := s.of(stack{i.Carrier, i.Mux})
		of.streams.Dec()
		if stats.Err != nil {
			of.failed[outcome.Stream(stats.Err)].Inc()
		}
	}
}

// A stack is what a session runs on. There are as many as this end has carriers and
// multiplexers: a peer chooses from those, and adds none.
type stack struct{ carrier, mux string }

// A series counts for one stack.
type series struct {
	now, streams          prometheus.Gauge
	opened, streamsOpened prometheus.Counter
	read, written         prometheus.Counter
	closed                map[transport.EndReason]prometheus.Counter
	failed                map[string]prometheus.Counter // by reason
	lasted                prometheus.Observer
}

// sessions are the metrics of all sessions.
type sessions struct {
	now, streams          *prometheus.GaugeVec
	opened, closed        *prometheus.CounterVec
	streamsOpened, failed *prometheus.CounterVec
	read, written         *prometheus.CounterVec
	lasted                *prometheus.HistogramVec

	// Looked up before, because a look-up takes longer than counting, which happens with
	// each Read and Write. The map is never modified, only replaced.
	known atomic.Pointer[map[stack]*series]
	mu    sync.Mutex // held while known is replaced
}

func (s *sessions) of(on stack) *series {
	if of, ok := (*s.known.Load())[on]; ok {
		return of
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if of, ok := (*s.known.Load())[on]; ok {
		return of
	}
	of := &series{
		now:           s.now.WithLabelValues(on.carrier, on.mux),
		opened:        s.opened.WithLabelValues(on.carrier, on.mux),
		closed:        each(s.closed, transport.EndReasons(), on.carrier, on.mux),
		lasted:        s.lasted.WithLabelValues(on.carrier, on.mux),
		streams:       s.streams.WithLabelValues(on.carrier, on.mux),
		streamsOpened: s.streamsOpened.WithLabelValues(on.carrier, on.mux),
		failed:        each(s.failed, outcome.OfStreams(), on.carrier, on.mux),
		read:          s.read.WithLabelValues(on.carrier, on.mux),
		written:       s.written.WithLabelValues(on.carrier, on.mux),
	}
	known := maps.Clone(*s.known.Load())
	known[on] = of
	s.known.Store(&known)
	return of
}
