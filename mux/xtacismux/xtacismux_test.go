package xtacismux_test

import (
	"os"
	"testing"

	"github.com/backdial/backdial/internal/test/doctable"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/internal/test/suite"
	"github.com/backdial/backdial/mux/muxtest"
	"github.com/backdial/backdial/mux/xtacismux"
)

// deviations are the promises that the library breaks.
var deviations = []muxtest.Deviation{{
	Promise: muxtest.OpenIsImmediate,
	Because: "Open waits until the connection has taken the frame that opens the stream. While it takes nothing, Open ends with its context.",
}, {
	Promise: muxtest.SteadyReaders,
	Part:    "abandoned",
	Because: "no stream is reset for those beside it, as there is memory for all.",
}, {
	Promise: muxtest.SteadyReaders,
	Part:    "memory",
	Because: "the library has no limit for all streams that it lives with: each may hold a Window. Slow readers hold 90 MiB where 24 are the most.",
}, {
	Promise: muxtest.BoundedMemory,
	Because: "the same. 16 streams that nobody reads hold 4.5 MiB where ReceiveBuffer is 1 MiB.",
}, {
	Promise: muxtest.CloseWakes,
	Part:    "Session with a stuck carrier",
	Because: "Open waits for the connection, as above. Close wakes it.",
}, {
	Promise: muxtest.ResetWithCode,
	Because: "the protocol has no codes.",
}, {
	Promise: muxtest.WriteTo,
	Because: "streams are no [mux.WriterTo]: io.Copy has a buffer of its own.",
}, {
	Promise: muxtest.Check,
	Because: "streams are no [mux.Checker]: only Read tells that a stream was cut.",
}, {
	Promise: muxtest.Distance,
	Part:    "MaxWindow",
	Because: "windows do not grow. A stream carries [mux.Config.Window] per round trip: 12 MB/s at 20 ms with the default.",
}}

func TestMain(m *testing.M) { os.Exit(suite.Main(m, 6)) }

func TestContract(t *testing.T) {
	long.Only(t)
	undetected(t)
	suite.Apart(t, func(t *testing.T) { muxtest.Test(t, xtacismux.New(), deviations...) })
}

// TestDocumented compares the documentation with the deviations.
func TestDocumented(t *testing.T) {
	var items [][2]string
	for _, d := range deviations {
		name := string(d.Promise)
		if d.Part != "" {
			name += "/" + d.Part
		}
		items = append(items, [2]string{name, d.Because})
	}
	doctable.Check(t, "doc.go", "breaks these promises of package mux:", items)
	doctable.Check(t, "../../docs/carriers.md", "| `xtacismux` does not promise | since |", items)
}
