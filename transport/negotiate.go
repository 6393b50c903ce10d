package transport

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/mux"
)

// ErrNoCommonMux is matched by the error of a handshake in which the two ends
// did not find a multiplexer that both have.
var ErrNoCommonMux = errors.New("no multiplexer in common")

// maxShown is how many bytes an error text repeats of what a peer says.
const maxShown = 200

// offer lists what a client can speak, the preferred first.
func (c *config) offer() []string {
	protocols := make([]string, len(c.muxes))
	for i, m := range c.muxes {
		protocols[i] = m.Protocol()
	}
	return protocols
}

// choose is the server's half of the negotiation, for every carrier: it picks
// the first of the client's offers that it knows.
func (c *config) choose(from carrier.Carrier, offered []string) (mux.Muxer, string, error) {
	for _, protocol := range offered {
		if m := c.muxFor(protocol); m != nil {
			return m, protocol, nil
		}
	}
	if len(offered) > 0 {
		return nil, "", fmt.Errorf("%w: client offers %.*s, server has %s",
			ErrNoCommonMux, maxShown, strings.Join(offered, ", "), strings.Join(c.offer(), ", "))
	}
	m, err := c.legacyMux(from)
	return m, "", err
}

// agreed is the client's half: it returns the multiplexer that the server
// picked. Not every carrier makes sure that it was offered.
func (c *config) agreed(from carrier.Carrier, protocol string) (mux.Muxer, error) {
	if protocol == "" {
		return c.legacyMux(from)
	}
	if m := c.muxFor(protocol); m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("%w: server picked %.*q, which was not offered (%s)",
		ErrNoCommonMux, maxShown, protocol, strings.Join(c.offer(), ", "))
}

// legacyMux returns what runs when nothing was negotiated.
func (c *config) legacyMux(from carrier.Carrier) (mux.Muxer, error) {
	legacy, ok := from.(carrier.Legacy)
	if !ok || c.requireNegotiation {
		return nil, fmt.Errorf("%w: the peer negotiates none, or a proxy removed what it said (Sec-WebSocket-Protocol)",
			ErrNoCommonMux)
	}
	if m := c.muxFor(legacy.LegacyProtocol()); m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("%w: the peer negotiates none, which means %s, and only %s is configured",
		ErrNoCommonMux, legacy.LegacyProtocol(), strings.Join(c.offer(), ", "))
}

func (c *config) muxFor(protocol string) mux.Muxer {
	i := slices.IndexFunc(c.muxes, func(m mux.Muxer) bool { return m.Protocol() == protocol })
	if i < 0 {
		return nil
	}
	return c.muxes[i]
}
