package ws_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/long"
)

// framings are the implementations of framing.
var framings = []struct {
	name    string
	options []ws.Option
}{
	{"Own", nil},
	{"Gorilla", []ws.Option{ws.WithGorillaFraming()}},
}

// eachFraming runs test with the options of every framing.
func eachFraming(t *testing.T, test func(t *testing.T, options ...ws.Option)) {
	t.Helper()
	for _, framing := range framings {
		t.Run(framing.name, func(t *testing.T) {
			leak.Check(t)
			test(t, framing.options...)
		})
	}
}

func TestContract(t *testing.T) {
	for _, framing := range framings {
		for _, target := range []carriertest.Target{
			{Scheme: "ws"},
			{Scheme: "http"},
			{Scheme: "wss", TLS: true, Listener: ws.BelowTLS},
			{Scheme: "https", TLS: true},
		} {
			target.Carrier = ws.New(framing.options...)
			target.Impatient = ws.New(append(framing.options, ws.WithHandshakeTimeout(time.Second))...)
			t.Run(framing.name+"/"+target.Scheme, func(t *testing.T) {
				if strings.HasPrefix(target.Scheme, "http") { // the same, but for its name and a plain listener
					long.Only(t)
				}
				carriertest.Test(t, target)
			})
		}
	}
}

// A mixed carrier dials with one framing and serves with the other.
type mixed struct {
	*ws.Carrier
	dials *ws.Carrier
}

func (m mixed) Dial(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
	return m.dials.Dial(ctx, r)
}

func TestContractMixed(t *testing.T) {
	own, gorilla := ws.New(), ws.New(ws.WithGorillaFraming())
	for name, c := range map[string]mixed{
		"OwnDials":     {Carrier: gorilla, dials: own},
		"GorillaDials": {Carrier: own, dials: gorilla},
	} {
		target := carriertest.Target{Carrier: c, Impatient: ws.New(ws.WithHandshakeTimeout(time.Second))}
		t.Run(name, func(t *testing.T) { carriertest.Test(t, target) })
		target.TLS, target.Listener = true, ws.BelowTLS
		t.Run(name+"/TLS", func(t *testing.T) {
			long.Only(t)
			carriertest.Test(t, target)
		})
	}
}
