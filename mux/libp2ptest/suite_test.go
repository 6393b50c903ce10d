package libp2ptest

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	suite "github.com/libp2p/go-libp2p/p2p/muxer/testsuite"
	"go.uber.org/goleak"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
)

func TestYamux(t *testing.T) { testOverTCP(t, yamuxmux.New()) }
func TestSmux(t *testing.T)  { testOverTCP(t, smuxmux.New()) }
func TestQMux(t *testing.T)  { testOverTCP(t, qmux.New()) }

func testOverTCP(t *testing.T, muxer mux.Muxer) {
	checkLeaks(t)
	testAll(t, multiplexer{muxer}, nil)
}

func TestNative(t *testing.T) {
	checkLeaks(t)
	var slow []string
	if raceDetector {
		// The test opens 50,000 streams and does not close them, and native looks at each
		// of them ten times a second. The test takes 5 s, but a minute under the race
		// detector.
		slow = []string{"SubtestStreamOpenStress"}
	}
	testAll(t, newOverWebTransport(t, nativemux.New()), slow)
}

// checkLeaks is [backdialtest.CheckLeaks]. The suite never closes its listeners.
func checkLeaks(t *testing.T) {
	backdialtest.CheckLeaks(t, goleak.IgnoreAnyFunction("github.com/libp2p/go-libp2p/p2p/muxer/testsuite.GoServe.func1"))
}

// testAll runs all of libp2p's tests, except those that are too slow.
func testAll(t *testing.T, m network.Multiplexer, slow []string) {
	// SubtestStreamOpenStress gives up after 10 s. With this, it does after 100 s.
	t.Setenv("CI", "true")
	for _, path := range slices.Sorted(maps.Keys(suite.Subtests)) {
		name := path[strings.LastIndexByte(path, '.')+1:]
		t.Run(name, func(t *testing.T) {
			if slices.Contains(slow, name) {
				t.Skip("too slow under the race detector")
			}
			suite.Subtests[path](t, m)
		})
	}
}
