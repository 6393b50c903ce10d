package metrics_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/metrics"
	"github.com/backdial/backdial/transport"
)

// TestFleet asks fleets when metrics are collected.
func TestFleet(t *testing.T) {
	backdialtest.CheckLeaks(t)
	replaces, rejects := fleet.New(fleet.ByHeader("DeviceId")), fleet.New(fleet.ByHeader("DeviceId"), fleet.WithDuplicates(fleet.RejectNewer))
	r := prometheus.NewPedanticRegistry()
	for name, f := range map[string]*fleet.Fleet{"replaces": replaces, "rejects": rejects} {
		prometheus.WrapRegistererWith(prometheus.Labels{"fleet": name}, r).MustRegister(metrics.NewFleet(f))
		server := transport.NewServer(f, transport.WithAuthorize(f.Authorize))
		srv := httptest.NewServer(server)
		defer srv.Close()
		defer server.Close()
		for range 2 {
			lis, err := transport.DialAndListen(srv.URL, http.Header{"Deviceid": {"1"}})
			if rejected, ok := errors.AsType[*carrier.RejectedError](err); ok && rejected.StatusCode == http.StatusConflict {
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			defer lis.Close()
			if _, err := f.Wait(t.Context(), "1"); err != nil {
				t.Fatal(err)
			}
		}
	}
	has(t, r, `
		backdial_fleet_clients{fleet="rejects"} 1
		backdial_fleet_clients{fleet="replaces"} 1
		backdial_fleet_sessions{fleet="rejects"} 1
		backdial_fleet_sessions{fleet="replaces"} 1
		backdial_fleet_sessions_rejected_total{fleet="rejects"} 1
		backdial_fleet_sessions_replaced_total{fleet="replaces"} 1`)
	if err := replaces.Kick("1", "to be counted"); err != nil {
		t.Fatal(err)
	}
	has(t, r, `
		backdial_fleet_clients{fleet="rejects"} 1
		backdial_fleet_sessions_kicked_total{fleet="replaces"} 1`)
}
