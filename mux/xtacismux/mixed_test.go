package xtacismux_test

import (
	"slices"
	"testing"

	"github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/internal/test/mixed"
	"github.com/backdial/backdial/internal/test/suite"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/muxtest"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/xtacismux"
	"github.com/backdial/backdial/transport/transporttest"
)

// without returns the deviations except those from promises that hold if one end is ours.
func without(kept ...string) []muxtest.Deviation {
	return slices.DeleteFunc(slices.Clone(deviations), func(d muxtest.Deviation) bool {
		return slices.Contains(kept, string(d.Promise)) || slices.Contains(kept, d.Part)
	})
}

// Our engine is at the end that opens streams, or at the other.
var (
	oursDials   = mixed.Muxer{Dial: smuxmux.New(), Listen: xtacismux.New()}
	oursListens = mixed.Muxer{Dial: xtacismux.New(), Listen: smuxmux.New()}

	ofOursDials   = without("OpenIsImmediate", "Session with a stuck carrier")
	ofOursListens = without("abandoned", "BoundedMemory", "MaxWindow")
)

func TestOursDials(t *testing.T) {
	long.Only(t)
	undetected(t)
	suite.Apart(t, func(t *testing.T) { muxtest.Test(t, oursDials, ofOursDials...) })
}

func TestOursListens(t *testing.T) {
	long.Only(t)
	undetected(t)
	suite.Apart(t, func(t *testing.T) { muxtest.Test(t, oursListens, ofOursListens...) })
}

// undetected skips a test under the race detector, which changes what deviations measure,
// such as memory beside slow readers.
func undetected(t *testing.T) {
	if raceDetector {
		t.Skip("run it without the race detector")
	}
}

// TestStack uses the library at one end of a WebSocket, or at both.
func TestStack(t *testing.T) {
	long.Only(t)
	undetected(t)
	t.Parallel()
	for _, test := range []struct {
		muxer      mux.Muxer
		deviations []muxtest.Deviation
	}{
		{xtacismux.New(), deviations},
		{oursDials, ofOursDials},
		{oursListens, ofOursListens},
	} {
		t.Run(test.muxer.Name(), func(t *testing.T) {
			suite.Apart(t, func(t *testing.T) {
				transporttest.Test(t, transporttest.Stack{Target: carriertest.Target{Carrier: ws.New()}, Muxer: test.muxer},
					slices.DeleteFunc(slices.Clone(test.deviations), func(d muxtest.Deviation) bool { return d.Promise == muxtest.Distance })...)
			})
		})
	}
}
