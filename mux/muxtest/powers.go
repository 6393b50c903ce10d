package muxtest

import (
	"fmt"
	"testing"

	"github.com/backdial/backdial/mux"
)

// wantPower fails t unless the streams of both ends of a session have an optional
// interface, such as [mux.Checker]. A muxer that lacks it declares a deviation from the
// promise.
func wantPower[Power mux.Stream](t *testing.T, connect Connect) {
	t.Helper()
	name := fmt.Sprintf("%T", *new(*Power))[1:]
	p := connect.pair(t, mux.Config{}, mux.Config{})
	dialled, accepted := p.open(t)
	_, dialHas := dialled.(Power)
	_, listenHas := accepted.(Power)
	t.Logf("streams have %s: %t on the dial side, %t on the listen side", name, dialHas, listenHas)
	if !dialHas || !listenHas {
		t.Fatalf("not every stream has %s, which is optional: declare a deviation from this promise if that is intended", name)
	}
}
