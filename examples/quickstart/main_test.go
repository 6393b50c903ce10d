package main

import (
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"ws            yamux           backdial.v1.yamux ",
		"ws            smux            backdial.v1.smux ",
		"ws            qmux            qmux-02.backdial.1 ",
		"webtransport  yamux           backdial.v1.yamux ",
		"webtransport  smux            backdial.v1.smux ",
		"webtransport  qmux            qmux-02.backdial.1 ",
		"webtransport  native          backdial.v1.native ",
		"mem           yamux           backdial.v1.yamux ",
		"mem           smux            backdial.v1.smux ",
		"mem           qmux            qmux-02.backdial.1 ",
		"ws            hashicorpyamux  backdial.v1.yamux ",
		"ws            xtacismux       backdial.v1.smux ",
		"webtransport  hashicorpyamux  backdial.v1.yamux ",
		"webtransport  xtacismux       backdial.v1.smux ",
		"mem           hashicorpyamux  backdial.v1.yamux ",
		"mem           xtacismux       backdial.v1.smux ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line %q in\n%s", want, &out)
		}
	}
}
