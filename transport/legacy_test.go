package transport_test

import (
	"testing"

	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/mux/yamuxmux"
)

// TestLegacyProtocol compares the token that package ws repeats, because a carrier knows no
// multiplexer, with that of the multiplexer which it means.
func TestLegacyProtocol(t *testing.T) {
	if got, want := ws.New().LegacyProtocol(), yamuxmux.New().Protocol(); got != want {
		t.Errorf("a WebSocket without negotiation runs %q, want yamux, which is %q", got, want)
	}
}
