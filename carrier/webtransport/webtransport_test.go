package webtransport_test

import (
	"testing"

	"github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/carrier/webtransport"
)

func TestContract(t *testing.T) {
	for _, scheme := range []string{"https", "wss"} {
		target := carriertest.Target{Carrier: webtransport.New(), TLS: true, Scheme: scheme}
		t.Run(scheme, func(t *testing.T) { carriertest.Test(t, target) })
	}
}
