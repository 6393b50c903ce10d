package metrics_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/metrics"
	"github.com/backdial/backdial/transport"
)

// everything is a registry with every metric there is.
func everything(t *testing.T, opts ...metrics.Option) *prometheus.Registry {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	server, client := metrics.New(opts...), metrics.NewClient(opts...)
	r.MustRegister(server, client, metrics.NewFleet(fleet.New(nil), opts...))
	info := transport.Info{Carrier: "ws", Mux: "yamux", Since: time.Now()}
	server.Trace().ClientConnected(info)
	client.Trace().ClientConnected(info)
	return r
}

func gather(t *testing.T, r prometheus.Gatherer) []*dto.MetricFamily {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// TestLint expects names and units as Prometheus wants them.
func TestLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(everything(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestDocumentation makes sure that the documentation of the package lists what there
// is, and nothing else.
func TestDocumentation(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]bool)
	for _, part := range []string{"", "client_", "fleet_"} {
		var want strings.Builder
		for _, f := range gather(t, everything(t)) {
			name := strings.TrimPrefix(f.GetName(), "backdial_"+part)
			if name == f.GetName() || part == "" && (strings.HasPrefix(name, "client_") || strings.HasPrefix(name, "fleet_")) {
				continue
			}
			labels := labelsOf(f)
			line := fmt.Sprintf("//\t%-44s %-10s %s", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labelNames(f), ", "))
			fmt.Fprintln(&want, strings.TrimRight(line, " "))
			for _, label := range labelNames(f) {
				if label != "carrier" && label != "mux" {
					all := slices.DeleteFunc(slices.Sorted(maps.Keys(labels[label])), func(v string) bool { return v == "" })
					fmt.Fprintf(&want, "//\t    %s: %s\n", label, strings.Join(all, " "))
					for _, v := range all {
						values[v] = true
					}
				}
			}
		}
		if list := "//\n" + want.String() + "//\n"; !strings.Contains(string(doc), list) {
			t.Errorf("doc.go does not have\n%s", list)
		}
	}
	for v := range values {
		if code := v[0] <= '9'; !code && !strings.Contains(string(doc), "//   - "+v+": ") {
			t.Errorf("doc.go does not explain %q", v)
		}
	}
}

// labelsOf are the values of each label of f.
func labelsOf(f *dto.MetricFamily) map[string]map[string]bool {
	labels := make(map[string]map[string]bool)
	for _, m := range f.Metric {
		for _, l := range m.Label {
			if labels[l.GetName()] == nil {
				labels[l.GetName()] = make(map[string]bool)
			}
			labels[l.GetName()][l.GetValue()] = true
		}
	}
	return labels
}

func labelNames(f *dto.MetricFamily) (names []string) {
	for _, l := range f.Metric[0].Label {
		names = append(names, l.GetName())
	}
	return names
}

// TestZero expects series before anything is counted. Otherwise their first increase would not
// show.
func TestZero(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	server, client := metrics.New(), metrics.NewClient()
	r.MustRegister(server, client)
	client.Trace().DialStarted("ws")
	server.Trace().ClientConnected(transport.Info{Carrier: "ws", Mux: "yamux"})
	zero := make(map[string]bool)
	for _, line := range exposed(t, r) {
		zero[line] = true
	}
	for _, want := range []string{
		`backdial_client_connects_total{carrier="ws",code="",result="ok"} 0`,
		`backdial_client_connects_total{carrier="ws",code="401",result="rejected"} 0`,
		`backdial_client_listeners{state="waiting"} 0`,
		`backdial_client_moves_total{outcome="lost"} 0`,
		`backdial_client_states_entered_total{state="waiting"} 0`,
		`backdial_dial_duration_seconds_count 0`,
		`backdial_dials_total{result="gone"} 0`,
		`backdial_handshake_failures_total{code="",reason="full"} 0`,
		`backdial_handshake_failures_total{code="other",reason="rejected"} 0`,
		`backdial_sessions_closed_total{carrier="ws",mux="yamux",reason="silent"} 0`,
		`backdial_stream_errors_total{carrier="ws",mux="yamux",reason="reset"} 0`,
		`backdial_stream_read_bytes_total{carrier="ws",mux="yamux"} 0`,
		`backdial_streams{carrier="ws",mux="yamux"} 0`,
	} {
		if !zero[want] {
			t.Errorf("there is no %s", want)
		}
	}
}
