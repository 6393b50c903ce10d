package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/backdial/backdial/fleet"
)

// NewFleet returns a collector for f, which it asks when metrics are collected. To have
// several fleets in one program, label them:
//
//	prometheus.WrapRegistererWith(prometheus.Labels{"fleet": "kiosks"}, registry).MustRegister(metrics.NewFleet(f))
func NewFleet(f *fleet.Fleet, opts ...Option) prometheus.Collector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(newConfig(opts).namespace, "fleet", name), help, nil, nil)
	}
	return &fleetCollector{
		fleet:    f,
		clients:  desc("clients", "Clients that can be dialled now."),
		sessions: desc("sessions", "Sessions in the fleet now."),
		replaced: desc("sessions_replaced_total", "Sessions replaced by a newer one of the same client."),
		rejected: desc("sessions_rejected_total", "Sessions refused because the client had one already."),
		kicked:   desc("sessions_kicked_total", "Sessions closed by Kick."),
	}
}

type fleetCollector struct {
	fleet                      *fleet.Fleet
	clients, sessions          *prometheus.Desc
	replaced, rejected, kicked *prometheus.Desc
}

func (c *fleetCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.clients, c.sessions, c.replaced, c.rejected, c.kicked} {
		to <- d
	}
}

func (c *fleetCollector) Collect(to chan<- prometheus.Metric) {
	s := c.fleet.Stats()
	to <- prometheus.MustNewConstMetric(c.clients, prometheus.GaugeValue, float64(s.Clients))
	to <- prometheus.MustNewConstMetric(c.sessions, prometheus.GaugeValue, float64(s.Sessions))
	to <- prometheus.MustNewConstMetric(c.replaced, prometheus.CounterValue, float64(s.Replaced))
	to <- prometheus.MustNewConstMetric(c.rejected, prometheus.CounterValue, float64(s.Rejected))
	to <- prometheus.MustNewConstMetric(c.kicked, prometheus.CounterValue, float64(s.Kicked))
}
