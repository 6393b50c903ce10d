package transport

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/redact"
)

// maxNegotiationText bounds the error of a negotiation: what it repeats may be as
// long as this in characters, and each of them is escaped.
const maxNegotiationText = 500 + redact.MaxText

// In FuzzNegotiation a client offers anything, or a server picks anything, by any carrier and
// with any set of multiplexers. offers are separated by line ends.
func FuzzNegotiation(f *testing.F) {
	carriers := []carrier.Carrier{ws.New(), mem.New(), webtransport.New()}
	known := []mux.Muxer{yamuxmux.New(), smuxmux.New(), nativemux.New(), qmux.New()}
	f.Fuzz(func(t *testing.T, by, has byte, strict bool, offers, picked string) {
		from := carriers[int(by)%len(carriers)]
		c := &config{requireNegotiation: strict}
		for i, m := range known {
			if has>>i&1 != 0 {
				c.muxes = append(c.muxes, m)
			}
		}
		var offered []string
		if offers != "" {
			offered = strings.Split(offers, "\n")
		}
		checkChoice(t, c, from, offered)
		checkAgreement(t, c, from, picked)
	})
}

// checkChoice expects that a server chooses the first of the client's offers that
// it can serve.
func checkChoice(t *testing.T, c *config, from carrier.Carrier, offered []string) {
	t.Helper()
	m, protocol, err := c.choose(from, offered)
	want := ""
	if i := slices.IndexFunc(offered, func(p string) bool { return serves(c, from, p) }); i >= 0 {
		want = offered[i]
	}
	switch {
	case len(offered) == 0 && c.servesLegacy(from):
		checkMux(t, m, from.(carrier.Legacy).LegacyProtocol(), err)
	case want != "":
		checkMux(t, m, want, err)
	default:
		checkNone(t, m, err)
	}
	if protocol != want {
		t.Errorf("of %q the server chooses %q, want %q", offered, protocol, want)
	}
}

// checkAgreement expects that a client agrees to what it has offered.
func checkAgreement(t *testing.T, c *config, from carrier.Carrier, picked string) {
	t.Helper()
	muxes, err := c.muxesOn(from)
	if err != nil {
		checkNone(t, nil, err)
		return
	}
	m, err := c.agreed(from, muxes, muxes.protocols(), picked)
	switch {
	case picked == "" && c.servesLegacy(from):
		checkMux(t, m, from.(carrier.Legacy).LegacyProtocol(), err)
	case slices.Contains(muxes.protocols(), picked):
		checkMux(t, m, picked, err)
	default:
		checkNone(t, m, err)
	}
}

// serves reports whether c has a multiplexer for protocol that runs on a carrier.
func serves(c *config, on carrier.Carrier, protocol string) bool {
	_, streams := on.(carrier.StreamCarrier)
	return slices.ContainsFunc(c.muxes, func(m mux.Muxer) bool {
		_, needsStreams := m.(mux.StreamMuxer)
		return m.Protocol() == protocol && (streams || !needsStreams)
	})
}

// servesLegacy reports whether c makes do without negotiation on a carrier.
func (c *config) servesLegacy(on carrier.Carrier) bool {
	legacy, ok := on.(carrier.Legacy)
	return ok && !c.requireNegotiation && serves(c, on, legacy.LegacyProtocol())
}

func checkMux(t *testing.T, m mux.Muxer, want string, err error) {
	t.Helper()
	if err != nil || m == nil || m.Protocol() != want {
		t.Errorf("multiplexer %v, %v, want that of %q", m, err, want)
	}
}

func checkNone(t *testing.T, m mux.Muxer, err error) {
	t.Helper()
	if m != nil || !errors.Is(err, ErrNoCommonMux) {
		t.Errorf("multiplexer %v, %v, want ErrNoCommonMux", m, err)
		return
	}
	if len(err.Error()) > maxNegotiationText {
		t.Errorf("error of %d bytes", len(err.Error()))
	}
}
