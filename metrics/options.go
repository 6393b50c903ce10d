package metrics

import "slices"

// An Option configures a collector.
type Option func(*config)

type config struct {
	namespace   string
	dialBuckets []float64
}

// A Dial costs no round trip: one that takes longer than a millisecond waits for a client that
// does not accept.
var defaultDialBuckets = []float64{.0001, .001, .005, .01, .05, .1, .5, 1, 5, 10}

func newConfig(opts []Option) config {
	c := config{namespace: "backdial", dialBuckets: defaultDialBuckets}
	for _, o := range opts {
		o(&c)
	}
	return c
}

// WithNamespace sets the prefix of all names of metrics, instead of "backdial".
func WithNamespace(namespace string) Option {
	return func(c *config) { c.namespace = namespace }
}

// WithDialBuckets sets the buckets of the histogram of dials, in seconds. The default, also
// without buckets, is from 100 µs to 10 s.
func WithDialBuckets(buckets ...float64) Option {
	if buckets = slices.Clone(buckets); len(buckets) == 0 {
		buckets = defaultDialBuckets
	}
	return func(c *config) { c.dialBuckets = buckets }
}
