package main

import (
	"strings"
	"testing"
)

// TestDescriptors checks that a run that would hang for lack of file descriptors does not
// start.
func TestDescriptors(t *testing.T) {
	for name, test := range map[string]struct {
		clients int
		storm   bool
		limit   uint64
		text    string // of the error, or "" for none
	}{
		"enough":              {100, false, 864, ""},
		"too few":             {100, false, 863, "ulimit -n 864"},
		"many too few":        {100, false, 256, "-clients 24 at most"},
		"enough for a storm":  {100, true, 464, ""},
		"too few for a storm": {100, true, 463, "-clients 99 at most"},
		"next to none":        {1, false, 10, "-clients 0 at most"},
	} {
		o := options{clients: test.clients, storm: test.storm}
		err := o.checkDescriptors(test.limit)
		switch {
		case test.text == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.text != "" && (err == nil || !strings.Contains(err.Error(), test.text)):
			t.Errorf("%s: error %v, want one with %q", name, err, test.text)
		}
	}
}
