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

	// noisy makes networks flip bits, and do nothing else. Without TLS only the workload
	// notices that, so exchanges may fail in ways that would be violations elsewhere.
	noisy bool
}

// stacks returns all stacks, each for clients of its own. quic is the carrier on QUIC.
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

// On TCP, an attempt to connect to a host on which nothing listens fails at once. On QUIC
// nobody answers: the attempt goes on for quicPatience, and asks again after firstProbe,
// then after twice that, and so on.
const (
	quicPatience = 5 * time.Second
	firstProbe   = 200 * time.Millisecond
)

// probes returns when an attempt asks, since it began, and how long it lasts.
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
