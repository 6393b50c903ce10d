//go:build unix

package proxytest

import (
	"testing"

	"github.com/backdial/backdial/internal/workload"
)

// TestRestart kills a proxy, and starts it again: clients are back.
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
			receive(t, d.Done(), "the end of a session")
		}
		if !p.start() {
			t.Fatal("the proxy does not start again")
		}
		f.arrive("server")
		f.answer(20)
		f.check(workload.Ended)
	})
}

// TestDeploy shuts a server down while there is another one behind the same proxy:
// its clients move there, and are never without a session.
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
