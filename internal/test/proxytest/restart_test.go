//go:build unix

package proxytest

import (
	"net/http"
	"testing"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/workload"
)

// TestRestart kills a proxy, and starts it again: clients must come back.
func TestRestart(t *testing.T) {
	forEach(t, func(t *testing.T, k kind) {
		var f fleet
		s := startServerOf(t, "server", &f)
		p := startProxy(t, k, k.servers(s.addr))
		f.start(t, p)
		floods, before := f.floods(p), f.sessions()
		p.kill()
		for _, flood := range floods {
			flood.check(t, false)
		}
		for _, d := range before {
			await.From(t, "the end of a session", d.Done())
		}
		if !p.start() {
			t.Fatal("the proxy does not start again")
		}
		f.arrive("server")
		f.answer(20)
		f.check(workload.Ended)
	})
}

// TestDeploy shuts a server down while there is another one behind the same proxy: its
// clients must move there, and never be without a session.
func TestDeploy(t *testing.T) {
	forEach(t, func(t *testing.T, k kind) {
		var f fleet
		one, two := startServerOf(t, "one", &f), startServerOf(t, "two", &f)
		p := startProxy(t, k, k.servers(one.addr, two.addr))
		f.start(t, p)
		leaving, next := one, "two"
		if at(f.sessions()[0]) == "two" {
			leaving, next = two, "one"
		}
		f.leave(leaving)
		f.arrive(next)
		f.answer(20)
		f.stay(k.asksOther)
		f.check(workload.Draining)
	})
}

// TestAway asks all servers for something that they answer with 503, as they do for the
// page of a device that is away: the proxy must not take them for dead.
func TestAway(t *testing.T) {
	forEach(t, func(t *testing.T, k kind) {
		if !k.asksOther {
			t.Skipf("%s can be told on which path to take 503 for a reason to ask another server", k.name)
		}
		p := startProxy(t, k, k.servers(startServer(t, "one").addr, startServer(t, "two").addr))
		for range 5 {
			if status, body := p.get("/away"); status != http.StatusServiceUnavailable {
				t.Errorf("answered %d %q, want what the server says", status, body)
			}
		}
		if got := p.asks(); got != "one" && got != "two" {
			t.Errorf("the proxy asks %q, want one of the servers", got)
		}
		if _, err := p.listen(t, ways()[0], nil); err != nil {
			t.Error("a device does not connect:", err)
		}
	})
}

// TestBrokenAnswers asks all servers for something that no proxy passes on. A device can answer so
// behind fleet.ReverseProxy: the proxy must not take the servers for dead.
func TestBrokenAnswers(t *testing.T) {
	forEach(t, func(t *testing.T, k kind) {
		p := startProxy(t, k, k.servers(startServer(t, "one").addr, startServer(t, "two").addr))
		for _, page := range []string{"/huge", "/cut"} {
			for range 5 {
				if status, body := p.get(page); status == http.StatusOK && body != "" {
					t.Errorf("%s is answered %q", page, body)
				}
			}
			if got := p.asks(); got != "one" && got != "two" {
				t.Errorf("after %s the proxy asks %q, want one of the servers", page, got)
			}
		}
		if _, err := p.listen(t, ways()[0], nil); err != nil {
			t.Error("a device does not connect:", err)
		}
	})
}
