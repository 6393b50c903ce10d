package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/workload"
)

// TestResult checks that no violation is overlooked.
func TestResult(t *testing.T) {
	const bound = time.Second
	sound := workload.Report{Exchanges: 10, Sent: 20, Seen: 20, Acknowledged: 19, Failed: 1, Longest: workload.Call{Name: "Read", Took: bound}}
	for name, test := range map[string]struct {
		change func(*result)
		text   string // of the error, or "" for none
		noisy  string // where networks turn bits
	}{
		"sound":      {func(*result) {}, "", ""},
		"lost":       {func(r *result) { r.report.Lost = 1 }, "not delivered", "not delivered"},
		"duplicated": {func(r *result) { r.report.Duplicates = 1 }, "delivered again", "delivered again"},
		"truncated":  {func(r *result) { r.report.Truncated = 1 }, "ended early", ""},
		"corrupt":    {func(r *result) { r.report.Corrupt = 1 }, "not sent", ""},
		"slow":       {func(r *result) { r.report.Longest.Took++ }, "took", "took"},
		"away":       {func(r *result) { r.away = []error{errors.New("gone")} }, "not back", "not back"},
	} {
		for noisy, text := range map[bool]string{false: test.text, true: test.noisy} {
			r := result{stack: &stack{name: "stack", noisy: noisy}, report: sound}
			test.change(&r)
			switch err := r.err(bound); {
			case text == "" && err != nil:
				t.Errorf("%s, noisy %v: %v", name, noisy, err)
			case text != "" && (err == nil || !strings.Contains(err.Error(), text) || !strings.HasPrefix(err.Error(), "stack: ")):
				t.Errorf("%s, noisy %v: %v, want an error with %q", name, noisy, err, text)
			}
		}
	}
}

func TestGrowth(t *testing.T) {
	before := sample{sessions: 100, goroutines: 1000, heap: 100 << 20}
	for _, test := range []struct {
		after sample
		text  string
	}{
		{before, ""},
		{sample{goroutines: 1020, heap: 123 << 20}, ""},
		{sample{goroutines: 1021, heap: 100 << 20}, "goroutines"},
		{sample{goroutines: 1000, heap: 124 << 20}, "heap"},
	} {
		err := test.after.growth(before)
		if test.text == "" && err != nil || test.text != "" && (err == nil || !strings.Contains(err.Error(), test.text)) {
			t.Errorf("%+v: %v, want an error with %q", test.after, err, test.text)
		}
	}
}

func TestOutages(t *testing.T) {
	var o outages
	o.answered(time.Now())
	o.await("reset")
	o.answered(o.awaited.over) // which began too early to mean anything
	o.await("")
	if o.awaited == nil || o.awaited.cause != "reset" || len(o.recoveries) > 0 {
		t.Fatalf("%+v", o)
	}
	o.await("hole")
	o.answered(time.Now().Add(time.Second))
	if want := []recovery{{"reset", 0}, {"hole", o.recoveries[1].took}}; o.awaited != nil || !slices.Equal(o.recoveries, want) || want[1].took <= 0 {
		t.Fatalf("%+v", o)
	}
	o.await("")
	if o.answered(time.Now().Add(time.Second)); o.awaited != nil || len(o.recoveries) != 2 {
		t.Errorf("%+v", o)
	}
}

func TestSpread(t *testing.T) {
	var all []recovery
	for i := range 100 {
		all = append(all, recovery{"reset", time.Duration(100 - i)}, recovery{"hole", time.Hour}, recovery{"hole", 0})
	}
	s, interrupted := spreadOf(all, "reset")
	if s.at(0.5) != 51 || s.at(0.99) != 100 || s.at(1) != 100 || interrupted != 0 {
		t.Errorf("%v, %d interrupted", s, interrupted)
	}
	if s, interrupted := spreadOf(all, ""); len(s) != 200 || interrupted != 100 {
		t.Errorf("%d, and %d interrupted", len(s), interrupted)
	}
	if s, _ := spreadOf(nil, ""); s.at(0.5) != 0 {
		t.Error(s.at(0.5))
	}
}

func TestFaultsNamed(t *testing.T) {
	all, err := faultsNamed(faultNames())
	if err != nil || len(all) != len(allFaults) {
		t.Errorf("%d faults, %v", len(all), err)
	}
	if _, err := faultsNamed("reset,flood"); err == nil || !strings.Contains(err.Error(), `"flood"`) {
		t.Error(err)
	}
	// Every stack has a fault, and bits are flipped only where TLS or the checks can
	// notice.
	for _, s := range brief(t).stacks {
		names := make(map[string]bool)
		for _, f := range s.faultsOf(allFaults) {
			names[f.name] = true
		}
		if len(names) == 0 || names["rebound"] != s.overUDP() || names[noise] != (s.secure || s.noisy) || s.noisy && len(names) != 1 {
			t.Errorf("%s: %v", s.name, names)
		}
	}
}

func TestOptions(t *testing.T) {
	for name, change := range map[string]func(*options){
		"clients":     func(o *options) { o.clients = -1 },
		"keepalive":   func(o *options) { o.keepAlive = 0 },
		"every":       func(o *options) { o.every = -1 },
		"backoff-max": func(o *options) { o.backoff.Max = o.backoff.Min / 2 },
	} {
		o := defaults()
		change(&o)
		if err := o.check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if o := checked(t, defaults()); o.clients != 1000 || o.seed == 0 {
		t.Errorf("%+v", o)
	}
}
