package metrics

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backdial/backdial/transport/outcome"
)

// countHandshakes counts requests to servers that did not lead to a session.
func (c *Collector) countHandshakes() {
	failures := answers(c.counters("handshake_failures_total",
		"Requests that led to no session, by reason, and by HTTP status if the server rejected them.", "reason", "code"), outcome.OfHandshakes())
	c.trace.HandshakeFailed = func(_ *http.Request, err error) {
		reason, code := outcome.Handshake(err)
		failures[answer{reason, code}].Inc()
	}
}

// An answer is the outcome of a handshake.
type answer struct{ what, code string }

// answers is each, for outcomes that may have a code.
func answers(all *prometheus.CounterVec, outcomes []string, labels ...string) map[answer]prometheus.Counter {
	counters := make(map[answer]prometheus.Counter)
	for _, what := range outcomes {
		codes := []string{""}
		if what == outcome.Rejected {
			codes = outcome.OfCodes()
		}
		for code, counter := range each(all, codes, append(labels[:len(labels):len(labels)], what)...) {
			counters[answer{what, code}] = counter
		}
	}
	return counters
}
