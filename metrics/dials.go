package metrics

import (
	"context"
	"time"

	"github.com/backdial/backdial/transport"
	"github.com/backdial/backdial/transport/outcome"
)

// countDials counts calls of Dial.
func (c *Collector) countDials() {
	results := each(c.counters("dials_total", "Finished calls of Dial, by result.", "result"), outcome.OfDials())
	took := c.histograms("dial_duration_seconds", "Duration of successful calls of Dial.", c.config.dialBuckets).WithLabelValues()
	c.trace.StreamDialed = func(ctx context.Context, _ transport.Info, d time.Duration, err error) {
		results[outcome.Dial(ctx, err)].Inc()
		if err == nil {
			took.Observe(d.Seconds())
		}
	}
}
