package cluster_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/bench/harness"
	"github.com/backdial/backdial/cluster"
)

// someClients is how many clients one caller can dial for the first time.
const someClients = 64

// dials dials clients that answer a byte with a byte, one after the other.
func dials(b *testing.B) {
	for _, test := range []struct {
		name  string
		tls   bool // between the client and its replica
		place func(*dialling) func() (dial dialFunc, id string)
	}{
		{"local", false, (*dialling).local},
		{"local over TLS", true, (*dialling).local},
		{"remote", false, (*dialling).known},
		{"remote, owner not known", false, (*dialling).unknown},
		{"remote, no session yet", false, (*dialling).stranger},
	} {
		b.Run("case="+test.name, func(b *testing.B) {
			backdialtest.CheckLeaks(b)
			d := newDialling(b, test.tls)
			next := test.place(d)
			b.ReportAllocs()
			var whole, alone harness.Latency
			for b.Loop() {
				dial, id := next()
				began := time.Now()
				conn, err := dial(context.Background(), id)
				if err != nil {
					b.Fatal(err)
				}
				alone.Add(time.Since(began))
				if err := harness.Ask(conn, make([]byte, 1)); err != nil {
					b.Fatal(err)
				}
				whole.Add(time.Since(began))
				conn.Close()
			}
			whole.Report(b)
			b.ReportMetric(float64(alone.Percentile(50)), "dial-p50-ns")
		})
	}
}

type dialFunc = func(ctx context.Context, id string) (net.Conn, error)

// A dialling is two replicas, and clients of one of them.
type dialling struct {
	*site
	b            *testing.B
	owner, other *replica
	ids          []string
	service      *cluster.Cluster // in the process of the other, or nil
}

func newDialling(b *testing.B, tls bool) *dialling {
	b.Helper()
	s := newSite(b)
	d := &dialling{site: s, b: b, owner: s.replica("owner"), other: s.replica("other"), ids: ids(someClients)}
	for _, id := range d.ids {
		s.echoes(id, d.owner.url(tls))
	}
	for _, id := range d.ids {
		s.find(d.other, id)
	}
	b.Cleanup(func() {
		if d.service != nil {
			d.service.Close()
		}
	})
	return d
}

// url is where clients of a replica connect.
func (r *replica) url(tls bool) string {
	if tls {
		return "wss://" + r.at.TLSClients
	}
	return "ws://" + r.at.Clients
}

func (d *dialling) local() func() (dialFunc, string) {
	return func() (dialFunc, string) { return d.owner.Dial, d.ids[0] }
}

// known dials clients that were dialled before.
func (d *dialling) known() func() (dialFunc, string) {
	d.dialOnce(d.other.Dial)
	return func() (dialFunc, string) { return d.other.Dial, d.ids[0] }
}

// unknown dials with callers that have a session with the owner, and have not dialled the
// client before.
func (d *dialling) unknown() func() (dialFunc, string) {
	var left []string
	return func() (dialFunc, string) {
		if len(left) == 0 {
			d.b.StopTimer()
			d.renew()
			d.dialOnce(d.service.Dial)
			left = d.ids[1:]
			d.b.StartTimer()
		}
		id := left[0]
		left = left[1:]
		return d.service.Dial, id
	}
}

// stranger dials with callers that have no session yet.
func (d *dialling) stranger() func() (dialFunc, string) {
	return func() (dialFunc, string) {
		d.b.StopTimer()
		d.renew()
		d.b.StartTimer()
		return d.service.Dial, d.ids[0]
	}
}

// dialOnce dials the first client.
func (d *dialling) dialOnce(dial dialFunc) {
	d.b.Helper()
	conn, err := dial(context.Background(), d.ids[0])
	if err != nil {
		d.b.Fatal(err)
	}
	conn.Close()
}

// renew replaces the service by one without sessions.
func (d *dialling) renew() {
	d.b.Helper()
	if d.service != nil {
		d.service.Close()
	}
	var err error
	if d.service, err = d.other.service(); err != nil {
		d.b.Fatal(err)
	}
}
