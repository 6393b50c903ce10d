package main

import (
	"cmp"
	"image/color"
	"slices"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A subject is a library that was measured.
type subject struct {
	carrier, mux string
	name         string // if it has no carrier and mux
	peer         bool   // it is from the suite of the peers
}

var (
	tcp     = subject{carrier: "tcp", mux: "none"}
	wslis   = subject{carrier: "wslis", mux: "yamux"}
	wsQMux  = subject{carrier: "ws", mux: "qmux"}
	wssQMux = subject{carrier: "wss", mux: "qmux"}
	local   = subject{name: "local"} // a server alone, beside a cluster

	// What stands in the place of this library where programs use it.
	relay   = subject{name: "relay"}
	forward = subject{name: "forward"}
	openSSH = subject{name: "ssh -R"}

	gorillaYamux = subject{carrier: "gorilla", mux: "yamux"} // on a device
	gorilla      = subject{carrier: "gorilla", mux: "none"}
)

// baselines are the parts and ancestors of this library's subjects, and those with one of
// its layers.
var baselines = []subject{
	tcp,
	{carrier: "tls", mux: "none"},
	{carrier: "tcp", mux: "hashicorp-yamux"},
	{carrier: "tcp", mux: "xtaci-smux"},
	wslis,
	{carrier: "webtransport-go", mux: "native"},
	{carrier: "tcp", mux: "yamux"},
	{carrier: "tcp", mux: "smux"},
	{carrier: "tcp", mux: "qmux"},
	{carrier: "ws", mux: "hashicorp-yamux"},
	{carrier: "ws", mux: "xtaci-smux"},
	local,
	{name: "local over TLS"},
	{name: "direct"},
	relay,
	gorillaYamux,
	gorilla,
}

// A kind is a subject's relation to this library.
type kind string

const (
	baseline kind = "baseline"
	ours     kind = "backdial"
	peer     kind = "peer"
)

func (s subject) kind() kind {
	switch {
	case s.peer, s == openSSH:
		return peer
	case slices.Contains(baselines, s):
		return baseline
	}
	return ours
}

// compare puts baselines first and peers last. Subjects of one kind stay in the order of
// the benchmarks.
func compare(a, b subject) int {
	kinds := []kind{baseline, ours, peer}
	return cmp.Compare(slices.Index(kinds, a.kind()), slices.Index(kinds, b.kind()))
}

// String names the multiplexer only if there is a choice.
func (s subject) String() string {
	switch {
	case s.name != "":
		return s.name
	case s.mux == "none" || s.mux == "own" || s == wslis || s.carrier == "webtransport-go":
		return s.carrier
	}
	return s.carrier + "+" + s.mux
}

// carriers maps carriers to colours. Their multiplexers get shades of them.
var carriers = map[string]color.RGBA{
	"mem":          {0x2f, 0x9e, 0x5b, 0xff},
	"ws":           {0x1f, 0x6f, 0xe0, 0xff},
	"wss":          {0x0c, 0x9b, 0xa8, 0xff},
	"webtransport": {0x9a, 0x4f, 0xe0, 0xff},
}

var (
	white         = color.RGBA{0xff, 0xff, 0xff, 0xff}
	black         = color.RGBA{0, 0, 0, 0xff}
	otherCarriers = color.RGBA{0xd6, 0x3f, 0x8c, 0xff}
	peerColor     = color.RGBA{0xd9, 0x8a, 0x1e, 0xff}
)

// color is grey for baselines and amber for peers.
func (s subject) color(t theme) color.RGBA {
	switch s.kind() {
	case peer:
		return peerColor
	case baseline:
		if s == wslis { // ours are compared with it
			return blend(t.text, t.page, 0.25)
		}
		return blend(t.text, t.page, 0.55)
	}
	c, ok := carriers[s.carrier]
	if !ok {
		c = otherCarriers
	}
	switch s.mux {
	case "smux":
		return blend(c, white, 0.45)
	case "native":
		return blend(c, black, 0.2)
	case "hashicorpyamux", "xtacismux":
		return blend(c, black, 0.45)
	}
	return c
}

// blend mixes a share of b into a.
func blend(a, b color.RGBA, share float64) color.RGBA {
	mix := func(a, b uint8) uint8 { return uint8(float64(a)*(1-share) + float64(b)*share) }
	return color.RGBA{mix(a.R, b.R), mix(a.G, b.G), mix(a.B, b.B), 0xff}
}

// dashes distinguish baselines and peers from ours even without colours.
func (s subject) dashes() []vg.Length {
	switch s.kind() {
	case baseline:
		return []vg.Length{5, 3}
	case peer:
		return []vg.Length{1.5, 2.5}
	}
	return nil
}

// mark is the shape of a multiplexer's points.
func (s subject) mark() draw.GlyphDrawer {
	switch s.mux {
	case "smux", "xtaci-smux", "xtacismux":
		return draw.BoxGlyph{}
	case "native":
		return draw.PyramidGlyph{}
	}
	return draw.CircleGlyph{}
}
