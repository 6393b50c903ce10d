package main

import (
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
)

// A stack is a combination of a carrier and a multiplexer.
type stack struct {
	name    string
	secure  bool // has TLS
	carrier carrier.Carrier
	muxer   mux.Muxer

	// noisy has networks turn bits, and do nothing else. Without TLS only the
	// workload notices: exchanges may fail there in ways that would be a violation
	// elsewhere.
	noisy bool
}

// stacks are all that there are, each with clients of its own. QUIC is what one of
// them runs on.
func stacks(quic carrier.Carrier) (all []stack) {
	muxers := []mux.Muxer{yamuxmux.New(), smuxmux.New(), qmux.New(), nativemux.New()}
	for _, c := range []stack{
		{name: "ws", carrier: ws.New()},
		{name: "wss", carrier: ws.New(), secure: true},
		{name: "webtransport", carrier: quic, secure: true},
		{name: "noisy ws", carrier: ws.New(), noisy: true},
	} {
		for _, m := range muxers {
			if _, needs := m.(mux.StreamMuxer); needs && !c.overUDP() {
				continue
			}
			c.muxer = m
			all = append(all, c)
		}
	}
	for i := range all {
		all[i].name += " " + all[i].muxer.Name()
	}
	return all
}

// overUDP reports whether s runs on QUIC.
func (s stack) overUDP() bool {
	_, ok := s.carrier.(carrier.StreamCarrier)
	return ok
}

func (s stack) scheme() string {
	if s.secure {
		return "https"
	}
	return "http"
}

// An attempt to connect to a host on which nothing listens fails at once, by TCP.
// By QUIC nobody says so: it goes on for quicPatience, and asks again meanwhile, at
// first after firstProbe, then after twice that, and so on.
const (
	quicPatience = 5 * time.Second
	firstProbe   = 200 * time.Millisecond
)

// probes are when an attempt asks, after it has begun, and how long it lasts.
func (s stack) probes() (at []time.Duration, patience time.Duration) {
	if !s.overUDP() {
		return []time.Duration{0}, 0
	}
	for sum, pause := time.Duration(0), firstProbe; sum < quicPatience; pause *= 2 {
		at = append(at, sum)
		sum += pause
	}
	return at, quicPatience
}
