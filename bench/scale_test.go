package bench

import (
	"os"
	"testing"

	"github.com/backdial/backdial/bench/harness"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
)

// TestMain also runs the clients of the benchmarks of scale.
func TestMain(m *testing.M) {
	harness.Crowd(scaled())
	os.Exit(m.Run())
}

func BenchmarkScaleSessions(b *testing.B) { harness.ScaleSessions(b, scaled()) }
func BenchmarkScaleStreams(b *testing.B)  { harness.ScaleStreams(b, scaled()) }

// scaled are the muxes for bytes and the one for streams, beside what they compare with.
// Other carriers of bytes add the same to any session.
func scaled() []harness.Apart {
	return []harness.Apart{
		wslis,
		webTransportGo,
		combine("ws", ws.New(), qmux.New(), false),
		combine("ws", ws.New(), yamuxmux.New(), false),
		combine("ws", ws.New(), smuxmux.New(), false),
		combine("webtransport", webtransport.New(), nativemux.New(), true),
	}
}
