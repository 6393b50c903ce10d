package webtransport_test

import (
	"testing"
	"time"

	"github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/internal/test/long"
)

func TestContract(t *testing.T) {
	for _, scheme := range []string{"https", "wss"} {
		target := carriertest.Target{
			Carrier:   webtransport.New(),
			Impatient: webtransport.New(webtransport.WithHandshakeTimeout(time.Second)),
			TLS:       true,
			Scheme:    scheme,
		}
		t.Run(scheme, func(t *testing.T) {
			if scheme == "wss" { // which is the same, but for its name
				long.Only(t)
			}
			carriertest.Test(t, target)
		})
	}
}
