package ws_test

import (
	"testing"

	"github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/carrier/ws"
)

func TestContract(t *testing.T) {
	for _, target := range []carriertest.Target{
		{Scheme: "ws"},
		{Scheme: "http"},
		{Scheme: "wss", TLS: true},
		{Scheme: "https", TLS: true},
	} {
		target.Carrier = ws.New()
		t.Run(target.Scheme, func(t *testing.T) { carriertest.Test(t, target) })
	}
}
