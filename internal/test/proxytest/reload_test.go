//go:build unix

package proxytest

import (
	"slices"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/workload"
)

// TestReload makes a proxy read another configuration, which names another server, and
// keep its sessions. They go on until their clients are asked to move.
func TestReload(t *testing.T) {
	forEach(t, func(t *testing.T, k kind) {
		if k.drain == nil {
			t.Skip("it keeps no session: see TestReloadCuts")
		}
		var f fleet
		one, two := startServerOf(t, "one", &f), startServerOf(t, "two", &f)
		p := startProxy(t, k, k.servers(one.addr))
		f.start(t, p)
		before := f.sessions()

		p.configure(k.servers(two.addr))
		if err := p.reload(p); err != nil {
			t.Fatal(err)
		}
		await.Until(t, "the next server to be asked", func() bool { return p.asks() == "two" })
		f.answer(20)
		if !slices.Equal(f.sessions(), before) {
			t.Error("a client has another session")
		}
		f.leave(one)
		f.arrive("two")
		f.answer(20)
		f.stay(false) // the old process may have accepted a client meanwhile
		f.check(workload.Draining)
	})
}

// TestReloadCuts makes a proxy read another configuration and cut its sessions: exchanges
// must end with an error that says so, and clients must come back.
func TestReloadCuts(t *testing.T) {
	forEach(t, func(t *testing.T, k kind) {
		const limit = time.Second
		var edits []edit
		if k.drain != nil {
			edits = append(edits, k.drain(limit))
		}
		var f fleet
		one, two := startServerOf(t, "one", &f), startServerOf(t, "two", &f)
		p := startProxy(t, k, k.servers(one.addr), edits...)
		f.start(t, p)
		floods := f.floods(p)

		began := time.Now()
		p.configure(k.servers(two.addr), edits...)
		if err := p.reload(p); err != nil {
			t.Fatal(err)
		}
		for _, flood := range floods {
			flood.check(t, k.garbles)
		}
		if took := time.Since(began); k.drain != nil && took < limit {
			t.Errorf("sessions were cut after %v, want %v", took, limit)
		}
		f.arrive("two")
		f.answer(20)
		if k.garbles {
			f.check(workload.Ended, workload.Corrupt)
		} else {
			f.check(workload.Ended)
		}
	})
}
