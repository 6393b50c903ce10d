package transport

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/redact"
)

// ErrNoCommonMux means that the two ends of a handshake have no multiplexer in common, or that
// none of this end's multiplexers can run on a carrier.
var ErrNoCommonMux = errors.New("no multiplexer in common")

// errNoMux is ErrNoCommonMux for an end that has no multiplexer for a carrier, whatever the
// other end has.
var errNoMux = fmt.Errorf("%w", ErrNoCommonMux)

// A muxSet holds the multiplexers that can run on one carrier, the preferred first.
type muxSet []mux.Muxer

// muxesOn returns those of the configured multiplexers that can run on a carrier. If there are
// none, the error says why.
func (c *config) muxesOn(by carrier.Carrier) (muxSet, error) {
	if _, ok := by.(carrier.StreamCarrier); ok {
		return c.muxes, nil
	}
	var able muxSet
	var unable []string
	for _, m := range c.muxes {
		if _, ok := m.(mux.StreamMuxer); ok {
			unable = append(unable, m.Name())
		} else {
			able = append(able, m)
		}
	}
	if len(able) == 0 {
		return nil, fmt.Errorf("%w: %s needs a carrier with streams of its own, %s has none",
			errNoMux, strings.Join(unable, ", "), by.Name())
	}
	return able, nil
}

// protocols returns what a client offers.
func (s muxSet) protocols() []string {
	protocols := make([]string, len(s))
	for i, m := range s {
		protocols[i] = m.Protocol()
	}
	return protocols
}

func (s muxSet) find(protocol string) mux.Muxer {
	i := slices.IndexFunc(s, func(m mux.Muxer) bool { return m.Protocol() == protocol })
	if i < 0 {
		return nil
	}
	return s[i]
}

func (s muxSet) String() string { return strings.Join(s.protocols(), ", ") }

// choose is the server's half of the negotiation, for every carrier. It picks the first of the
// client's offers that the server has.
func (c *config) choose(from carrier.Carrier, offered []string) (mux.Muxer, string, error) {
	muxes, err := c.muxesOn(from)
	if err != nil {
		return nil, "", err
	}
	for _, protocol := range offered {
		if m := muxes.find(protocol); m != nil {
			return m, protocol, nil
		}
	}
	if len(offered) > 0 {
		return nil, "", fmt.Errorf("%w: client offers %s, server has %s",
			ErrNoCommonMux, redact.Text(strings.Join(offered, ", ")), muxes)
	}
	m, err := c.legacyMux(from, muxes)
	return m, "", err
}

// agreed is the client's half. It returns the multiplexer that the server picked. Not every
// carrier checks that the client offered it.
func (c *config) agreed(from carrier.Carrier, muxes muxSet, offered []string, protocol string) (mux.Muxer, error) {
	if protocol == "" {
		return c.legacyMux(from, muxes)
	}
	if slices.Contains(offered, protocol) {
		return muxes.find(protocol), nil
	}
	return nil, fmt.Errorf("%w: server picked %s, which was not offered (%s)",
		ErrNoCommonMux, redact.Quote(protocol), strings.Join(offered, ", "))
}

// legacyMux returns the multiplexer for ends that negotiated nothing.
func (c *config) legacyMux(from carrier.Carrier, muxes muxSet) (mux.Muxer, error) {
	legacy, ok := from.(carrier.Legacy)
	if !ok {
		return nil, fmt.Errorf("%w: the peer does not negotiate, and %s requires it", ErrNoCommonMux, from.Name())
	}
	if c.requireNegotiation {
		return nil, fmt.Errorf("%w: the peer does not negotiate, or a proxy removed its Sec-WebSocket-Protocol header",
			ErrNoCommonMux)
	}
	if m := muxes.find(legacy.LegacyProtocol()); m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("%w: the peer does not negotiate, which means %s, but only %s is configured",
		ErrNoCommonMux, legacy.LegacyProtocol(), muxes)
}
