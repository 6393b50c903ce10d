package metrics_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/metrics"
	"github.com/backdial/backdial/transport"
)

// In TestBounded the first client makes all the series there are. Further clients make none,
// however different they are and whatever goes wrong.
func TestBounded(t *testing.T) {
	backdialtest.CheckLeaks(t)
	s := newSite(t, transport.WithAuthorize(func(r *http.Request) error {
		status, err := strconv.Atoi(r.Header.Get("Status"))
		switch {
		case status != 0:
			return &carrier.RejectedError{StatusCode: status, Body: []byte(r.URL.Path)}
		case err == nil:
			return errors.New("refused: " + r.Header.Get("Id"))
		}
		return nil
	}))
	client := metrics.NewClient()
	s.registry.MustRegister(client)
	trace := transport.WithTrace(client.Trace())
	visit := func(i int) {
		id := fmt.Sprint("client-", i)
		url := s.url + "/" + id
		header := http.Header{"Id": {id}, "User-Agent": {id}}
		lis, err := transport.DialAndListen(url, header, trace, transport.WithCloseGrace(-1))
		if err != nil {
			t.Fatal(err)
		}
		d := backdialtest.From(t, "Dialer", s.dialers)
		c := dial(t, d)
		accepted, err := lis.Accept()
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(accepted, id)
		c.Read(make([]byte, 1))
		if i%2 == 0 {
			lis.Close()
		} else {
			d.CloseWithReason(id)
		}
		accepted.Read(make([]byte, 1))
		c.Read(make([]byte, 1))
		accepted.Close()
		c.Close()
		d.Dial()
		lis.Close()

		refused := header.Clone()
		refused.Set("Status", fmt.Sprint(i%600))
		transport.DialAndListen(url, refused, trace)
		transport.DialAndListen(fmt.Sprintf("http://127.0.0.%d:1/%s", i%200+1, id), header, trace)
		r, err := http.NewRequest(fmt.Sprint("GET", i), url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Protocol": {id}, "Origin": {"https://" + id}}
		for range 2 {
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			r.Header.Del("Connection")
		}
	}
	defer http.DefaultClient.CloseIdleConnections()
	visit(0)
	first := series(t, s.registry)
	for i := 1; i <= 100; i++ {
		visit(400 + i)
	}
	has(t, s.registry, `
		backdial_client_sessions_opened_total{carrier="ws",mux="qmux"} 101
		backdial_sessions_opened_total{carrier="ws",mux="qmux"} 101`)
	if got := series(t, s.registry); got != first {
		t.Errorf("%d series after a hundred clients, and %d after the first", got, first)
	}
}

func series(t *testing.T, r prometheus.Gatherer) int {
	t.Helper()
	n, err := testutil.GatherAndCount(r)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
