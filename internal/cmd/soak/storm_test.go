package main

import (
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/transport"
)

// breeze is a storm of a few seconds.
func breeze(t *testing.T) options {
	t.Helper()
	o := defaults()
	o.storm = true
	o.clients = 200
	o.backoff = transport.Backoff{Min: 500 * time.Millisecond, Max: 4 * time.Second}
	o.away = time.Second
	o.spread = 2 * time.Second
	return checked(t, o)
}

func TestStorm(t *testing.T) {
	long.Only(t)
	leak.Check(t)
	o := breeze(t)
	o.stacks = o.stacks[:2] // TLS takes time that a busy machine does not have
	var out strings.Builder
	err := storm(t.Context(), o, &out, &progress{out: t.Output(), began: time.Now()})
	t.Log(out.String())
	if err != nil {
		t.Error(err)
	}
}

// TestHerd makes clients come back sooner than they should, all at once.
func TestHerd(t *testing.T) {
	leak.Check(t)
	o := breeze(t)
	o.clients = 100
	o.backoff = transport.Backoff{Min: time.Millisecond, Max: time.Millisecond}
	o.stacks = o.stacks[:2]
	w, err := newWorld(o, new(progress))
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if err := w.connect(t.Context(), func(c *client) string { return w.site.addr(c.stack) }); err != nil {
		t.Fatal(err)
	}
	// Where clients may take a minute, they are a crowd even if a busy machine delays them.
	w.backoff = transport.Backoff{Min: time.Minute, Max: time.Minute}
	var out strings.Builder
	if err := w.crash(t.Context(), &out); err == nil || !strings.Contains(err.Error(), "clients arrive within") {
		t.Errorf("error %v, want to hear of a crowd; %s", err, out.String())
	}
}

// TestComesBack compares the expectation with what is certain.
func TestComesBack(t *testing.T) {
	w := &world{options: options{backoff: transport.Backoff{Min: time.Second, Max: 4 * time.Second}}}
	o := breeze(t)
	var tcp, udp *stack
	for i := range o.stacks {
		if s := &o.stacks[i]; s.overUDP() {
			udp = s
		} else {
			tcp = s
		}
	}
	for range 1000 {
		const from = 20 * time.Second
		if at := w.comesBack(chance, tcp, from); at < from || at >= from+w.backoff.Max {
			t.Fatalf("a client is back at %v", at)
		}
		// An attempt that begins before the server is back finds it by its next probe,
		// or comes again after the longest wait.
		if at := w.comesBack(chance, udp, from); at < from || at >= from+quicPatience+w.backoff.Max {
			t.Fatalf("a client is back at %v", at)
		}
	}
	if at := w.comesBack(chance, tcp, 0); at >= w.backoff.Min {
		t.Errorf("the first attempt is after %v", at)
	}
}
