package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/backdial/backdial/transport"
)

// A Collector counts what its Trace reports. Several servers may share one, or several
// clients: it adds them up.
type Collector struct {
	config    config
	subsystem string
	metrics   []prometheus.Collector
	trace     transport.Trace
}

var _ prometheus.Collector = (*Collector)(nil)

// New returns a collector for servers.
func New(opts ...Option) *Collector {
	c := &Collector{config: newConfig(opts)}
	c.countSessions()
	c.countDials()
	c.countHandshakes()
	return c
}

// NewClient returns a collector for clients. Its metrics have names of their own, so that a
// program that is both a server and a client may register both collectors.
func NewClient(opts ...Option) *Collector {
	c := &Collector{config: newConfig(opts), subsystem: "client"}
	c.countSessions()
	c.countDials()
	c.countConnects()
	c.countListeners()
	return c
}

// Trace returns the trace that reports to the collector. Pass it to [transport.WithTrace].
func (c *Collector) Trace() transport.Trace { return c.trace }

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		m.Describe(to)
	}
}

// Collect implements [prometheus.Collector].
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	for _, m := range c.metrics {
		m.Collect(to)
	}
}

func (c *Collector) counters(name, help string, labels ...string) *prometheus.CounterVec {
	return added(c, prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: c.config.namespace, Subsystem: c.subsystem, Name: name, Help: help,
	}, labels))
}

func (c *Collector) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	return added(c, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: c.config.namespace, Subsystem: c.subsystem, Name: name, Help: help,
	}, labels))
}

func (c *Collector) histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return added(c, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: c.config.namespace, Subsystem: c.subsystem, Name: name, Help: help, Buckets: buckets,
	}, labels))
}

func added[M prometheus.Collector](c *Collector, m M) M {
	c.metrics = append(c.metrics, m)
	return m
}

// each returns the counters of values, which are the last label. It makes all of them, so that
// a rate does not miss the first event.
func each[V ~string](all *prometheus.CounterVec, values []V, labels ...string) map[V]prometheus.Counter {
	counters := make(map[V]prometheus.Counter, len(values))
	for _, v := range values {
		counters[v] = all.WithLabelValues(append(labels[:len(labels):len(labels)], string(v))...)
	}
	return counters
}
